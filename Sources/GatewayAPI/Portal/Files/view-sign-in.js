// Signing in. The password goes to the gateway once; what it answers with is a cookie that no script can read.

import { call, setProof } from "./api.js";
import { busy, el, field } from "./dom.js";
import { state, changed } from "./state.js";
import { language, reason, t } from "./words.js";

const installationKey = "farbell.installation";
const nameKey = "farbell.deviceName";

/** This browser's own stable id: the same one again is the same device. */
function installation() {
  let id = localStorage.getItem(installationKey);
  if (!id) {
    id = `web-${crypto.randomUUID()}`;
    localStorage.setItem(installationKey, id);
  }
  return id;
}

function deviceName() {
  const kept = localStorage.getItem(nameKey);
  if (kept) return kept;
  const agent = navigator.userAgent;
  const browser = ["Edg", "Firefox", "Chrome", "Safari"].find((name) => agent.includes(name)) ?? "Browser";
  const system = ["Android", "iPhone", "iPad", "Windows", "Mac OS", "Linux"].find((name) => agent.includes(name));
  return [browser === "Edg" ? "Edge" : browser, system].filter(Boolean).join(", ");
}

/** Asks who is signed in; null: nobody. */
export async function currentSession() {
  const session = await call("GET", "/v1/portal/session");
  setProof(session?.csrf ?? null);
  return session;
}

/** Draws the form. `note` is said above it; `done` runs once somebody is signed in. */
export function drawSignIn(container, { note, done }) {
  const account = el("input", {
    name: "account", autocomplete: "username", autocapitalize: "none", spellcheck: "false", required: true,
  });
  const password = el("input", {
    name: "password", type: "password", autocomplete: "current-password", required: true,
  });
  const device = el("input", { name: "device", value: deviceName(), maxlength: "80", required: true });
  // Elsewhere browsers keep no session and run no service worker.
  const fault = el("p", { class: "fault", role: "alert" }, isSecureContext ? "" : t("signIn.noCookie"));
  const submit = el("button", { type: "submit", class: "primary", disabled: !isSecureContext }, t("signIn"));

  async function signIn() {
    fault.textContent = "";
    try {
      localStorage.setItem(nameKey, device.value);
      await call("POST", "/v1/portal/session", {
        account: account.value.trim(), password: password.value, installation: installation(), name: device.value,
        locale: language === "zh" ? "zh-CN" : language,
      });
      password.value = "";
      state.session = await currentSession();
      if (!state.session) throw new Error(t("signIn.noCookie"));
      changed();
      await done();
    } catch (error) {
      fault.textContent = error.code ? reason(error) : error.message;
      password.focus();
    }
  }

  // A method of post: if no script took the form, the password must not stand in the address.
  const form = el("form", { class: "card sign-in", method: "post" },
    el("img", { src: "/portal/icon.svg", alt: "", width: "56", height: "56" }),
    el("h1", {}, t("signIn")),
    el("p", { class: "lead" }, note ?? t("signIn.intro")),
    field(t("signIn.account"), account), field(t("signIn.password"), password), field(t("signIn.device"), device),
    fault, submit);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(submit, signIn);
  });
  container.replaceChildren(form);
  account.focus();
}
