// One app: its news as they come, its notifications, its credentials. While this can be seen, the page is the app's
// client: news go to it, and no device rings.

import { call } from "./api.js";
import { busy, button, choice, confirm, el, field, fill, toast } from "./dom.js";
import { openApp } from "./launch.js";
import { Presence } from "./presence.js";
import { loadApps, markRead, messagesOf, state } from "./state.js";
import { moment, reason, t } from "./words.js";
import { healthLine } from "./view-apps.js";

/** Draws the view of an app; returns `{update, end}`. `redraw` draws the whole view anew. */
export function drawApp(container, id, redraw) {
  const app = state.apps.find((candidate) => candidate.id === id);
  const back = el("p", {}, el("a", { href: "#apps" }, `← ${t("app.back")}`));
  if (!app) {
    container.append(back, el("h1", { tabindex: "-1" }, id), el("p", {}, t("apps.none")));
    return { update() {}, end() {} };
  }
  const registration = state.registrations.get(id);
  const status = el("div", { role: "status" });
  const news = el("div", {});
  container.append(back, el("div", { class: "app-head" }, el("h1", { tabindex: "-1" }, app.name),
    app.farm && (registration || !app.monitor)
      ? button(t("apps.open"), () => openApp(id), { class: "primary", "aria-label": t("apps.openNamed", { app: app.name }) })
      : null), status);

  let presence = null;
  if (registration) {
    container.append(newsCard(app, news), notifyCard(registration), credentialsCard(app, registration, redraw));
    if (registration.enabled) {
      presence = new Presence(id);
      // Logging in starts the monitoring.
      presence.begin().then(loadApps).catch((error) => toast(reason(error), { kind: "error" }));
    }
  } else if (app.monitor) {
    container.append(setUpCard(app, redraw));
  }

  function update() {
    fill(status, healthLine(app));
    if (registration) fill(news, newsList(app));
  }

  update();
  return { update, end: () => presence?.end() };
}

// News

function newsCard(app, news) {
  return el("section", { class: "card", "aria-labelledby": "news-title" },
    el("h2", { id: "news-title" }, t("app.news")), el("p", { class: "hint" }, t("app.news.live")), news);
}

function newsList(app) {
  const messages = messagesOf(app.id);
  if (messages.length === 0) return el("p", {}, t("app.news.none"));
  const shown = messages.slice(0, 50);
  return [
    el("ul", { class: "news", role: "list" }, shown.map((message) => item(message))),
    el("div", { class: "actions" }, button(t("app.news.readAll"), () => readAll(messages), { "data-key": "read-all" })),
  ];
}

function item(message) {
  const subject = message.subject || t("app.news.noSubject");
  const sender = message.header?.from;
  return el("li", {},
    el("div", {},
      el("p", { class: "subject" }, subject),
      el("p", { class: "quiet" }, sender ? `${t("app.news.from", { sender })} · ` : "", moment(message.enqueued)),
      message.body ? el("p", { class: "preview" }, message.body.slice(0, 300)) : null),
    button(t("app.news.read"), () => read(message), {
      "data-key": `read-${message.id}`, "aria-label": t("app.news.readNamed", { subject }), class: "small",
    }));
}

async function read(message) {
  try {
    await markRead(message);
  } catch (error) {
    toast(reason(error), { kind: "error" });
  }
}

async function readAll(messages) {
  for (const message of messages) await read(message);
}

// Credentials

/** The fields a monitor asks for, and what the farm signs in with; `value()` is what was filled in. */
function credentialFields(app, isReplacing) {
  const { monitor = {}, signIn = [] } = app;
  const credentials = [...(monitor.credentials ?? []), ...signIn];
  const optional = [...(monitor.optional ?? []), ...signIn];
  const open = [...(monitor.public ?? []), ...signIn.filter((name) => name !== "password")];
  const inputs = credentials.map((name) => el("input", {
    name, type: open.includes(name) ? "text" : "password", autocapitalize: "none", spellcheck: "false",
    autocomplete: open.includes(name) ? "username" : isReplacing ? "new-password" : "current-password",
    required: !optional.includes(name),
  }));
  const known = ["username", "password", "token", "email"];
  return {
    elements: inputs.map((input) => field(
      known.includes(input.name) ? t(`field.${input.name}`) : input.name, input,
      optional.includes(input.name) ? t("field.optional") : null)),
    value: () => Object.fromEntries(inputs.filter((input) => input.value).map((input) => [input.name, input.value])),
    clear: () => inputs.forEach((input) => { input.value = ""; }),
  };
}

/** A form with a line for what went wrong. */
function form(children, text, work, attributes = {}) {
  const fault = el("p", { class: "fault", role: "alert" });
  const submit = el("button", { type: "submit", class: "primary" }, text);
  const element = el("form", { method: "post", ...attributes }, children, fault, el("div", { class: "actions" }, submit));
  element.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(submit, async () => {
      fault.textContent = "";
      try {
        await work();
      } catch (error) {
        fault.textContent = reason(error);
      }
    });
  });
  return element;
}

function setUpCard(app, redraw) {
  const fields = credentialFields(app, false);
  return el("section", { class: "card", "aria-labelledby": "set-up-title" },
    el("h2", { id: "set-up-title" }, t("app.register", { app: app.name })),
    el("p", {}, t(fields.elements.length > 0 ? "app.register.intro" : "app.register.none")),
    form(fields.elements, t("app.register.save"), async () => {
      await call("POST", "/v1/registrations", { app: app.id, credentials: fields.value() });
      fields.clear();
      await loadApps();
      toast(t("app.registered", { app: app.name }));
      redraw();
    }, { id: "set-up" }));
}

function credentialsCard(app, registration, redraw) {
  const path = `/v1/registrations/${encodeURIComponent(registration.id)}`;
  const enabled = el("input", { type: "checkbox", id: "enabled" });
  enabled.checked = registration.enabled;
  enabled.addEventListener("change", async () => {
    try {
      await call("PATCH", path, { enabled: enabled.checked });
      await loadApps();
      redraw();
    } catch (error) {
      toast(reason(error), { kind: "error" });
      enabled.checked = !enabled.checked;
    }
  });
  const fields = credentialFields(app, true);
  const title = fields.elements.length > 0 ? t("app.credentials") : t("app.watching");
  const parts = [el("h2", { id: "credentials-title" }, title)];
  if (fields.elements.length > 0) {
    parts.push(el("p", { class: "hint" }, t("app.credentials.hint")),
      form(fields.elements, t("app.credentials.save"), async () => {
        await call("PATCH", path, { credentials: fields.value() });
        fields.clear();
        await loadApps();
        toast(t("app.saved"));
      }));
  }
  parts.push(el("div", { class: "check" }, enabled, el("label", { for: "enabled" }, t("app.enabled"))),
    el("div", { class: "actions" }, button(t("app.remove"), async () => {
      if (!(await confirm(t("app.remove.ask", { app: app.name }), t("app.remove.yes"), t("cancel")))) return;
      await call("DELETE", path);
      await loadApps();
      redraw();
    }, { class: "danger" })));
  return el("section", { class: "card", "aria-labelledby": "credentials-title" }, parts);
}

// Notifications

function notifyCard(registration) {
  const notify = registration.notify;
  const summary = choice(["default", "hint", "digest", "full"].map((key) => [key, t(`app.summary.${key}`)]),
    notify.summary ?? "default", { name: "summary" });
  const known = ["default", "latest", "all"];
  const isOther = notify.targets !== undefined && !known.includes(notify.targets);
  const targets = choice([...known, ...(isOther ? ["other"] : [])].map((key) => [key, t(`app.targets.${key}`)]),
    isOther ? "other" : notify.targets ?? "default", { name: "targets" });
  const quiet = el("input", { type: "checkbox", id: "quiet", name: "quiet" });
  quiet.checked = Boolean(notify.quietHours);
  const from = el("input", { type: "time", name: "from", value: notify.quietHours?.from ?? "22:00", required: true });
  const to = el("input", { type: "time", name: "to", value: notify.quietHours?.to ?? "07:00", required: true });
  const zone = zones(notify.quietHours?.timeZone);
  const hours = el("fieldset", { class: "hours", "aria-label": t("app.quiet") },
    field(t("app.quiet.from"), from), field(t("app.quiet.to"), to), field(t("app.quiet.zone"), zone));
  const show = () => { hours.hidden = !quiet.checked; hours.disabled = !quiet.checked; };
  quiet.addEventListener("change", show);
  show();

  async function save() {
    // `notify` is replaced as a whole: what this page does not show stays as it is.
    const order = { ...registration.notify };
    order.summary = summary.value === "default" ? undefined : summary.value;
    if (targets.value !== "other") order.targets = targets.value === "default" ? undefined : targets.value;
    order.quietHours = quiet.checked ? { from: from.value, to: to.value, timeZone: zone.value } : undefined;
    const saved = await call("PATCH", `/v1/registrations/${encodeURIComponent(registration.id)}`, { notify: order });
    registration.notify = saved.notify;
    toast(t("app.saved"));
  }

  return el("section", { class: "card", "aria-labelledby": "notify-title" },
    el("h2", { id: "notify-title" }, t("app.notify")),
    form([
      field(t("app.summary"), summary), field(t("app.targets"), targets),
      el("div", { class: "check" }, quiet, el("label", { for: "quiet" }, t("app.quiet"))), hours,
      el("p", { class: "hint" }, t("app.quiet.hint")),
    ], t("app.notify.save"), save, { id: "notify" }));
}

/** The time zones the browser knows; its own, unless another is set already. */
function zones(current) {
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  const all = new Set([current ?? own, own, "UTC", ...(Intl.supportedValuesOf?.("timeZone") ?? [])]);
  return choice([...all].sort().map((zone) => [zone, zone.replaceAll("_", " ")]), current ?? own, { name: "zone" });
}
