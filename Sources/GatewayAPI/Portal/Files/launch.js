// Brings an app up: in this page where the gateway shows it, else in a tab of its own or with a file.

import { call } from "./api.js";
import { el, toast } from "./dom.js";
import { loginElsewhere } from "./presence.js";
import { appName, state } from "./state.js";
import { t, reason } from "./words.js";

/** What is shown in the page: `{app, frame, bar}`. */
let running = null;
let whenChanged = () => {};

/** `handler` hears when an app came into the page, went to the back, or ended. */
export function whenStageChanges(handler) { whenChanged = handler; }

/** The app that runs in the page, though perhaps behind it. */
export function runningApp() { return running?.app ?? null; }

/** Opens an app that the account has set up. Throws nothing: what goes wrong is said. */
export async function openApp(app) {
  if (running?.app === app) return showStage();
  try {
    // Before the launch: a client that is in front already would confirm it at once.
    const registration = state.registrations.get(app);
    if (registration?.enabled && registration.monitor.state === "stopped") await loginElsewhere(app);
    await perform(await call("POST", "/v1/launches", { app }));
  } catch (error) {
    toast(reason(error), { kind: "error" });
  }
}

/** The conversation that a notification is about; null where it is about none. */
export async function talkOfTap(tap) { return (await call("POST", "/v1/taps", { tap })).peer ?? null; }

/** Opens what a notification was about. `isOwnPage`: this page was opened for it, so it may become the app.
 *  `openTab(url)` opens a tab where this page may not. Returns `{app, peer}` where the page should show the app's news
 *  or the conversation instead, empty where neither is known; null otherwise. */
export async function openTap(tap, { isOwnPage = false, app = null, openTab } = {}) {
  try {
    const launch = await call("POST", "/v1/launches", { tap });
    if (running?.app === launch.app) return showItem(launch.action), null;
    await perform(launch, isOwnPage, openTab);
    return null;
  } catch (error) {
    const isNoApp = error.code === "no_farm" || (error.code === "launch_expired" && !app);
    const peer = isNoApp ? await talkOfTap(tap).catch(() => null) : null;
    if (!peer && error.code !== "no_farm") {
      toast(reason(error), { kind: "error" });
      if (!app) return null;
    }
    return { app, peer };
  }
}

async function perform({ app, action }, isOwnPage = false, openTab = null) {
  if (action.kind === "file") return saveFile(app, action);
  const url = new URL(action.url);
  if (action.embed) return showInPage(app, url);
  const isPage = url.protocol === "https:" || url.protocol === "http:";
  // An address such as rdp:// starts a program and leaves the page where it is.
  if (isOwnPage || !isPage) return location.assign(url);
  if (openTab) return openTab(url);
  const tab = window.open("about:blank", "_blank");
  if (!tab) return offerLink(app, url);
  tab.opener = null;
  tab.location.replace(url);
}

/** For a browser that opens tabs only when something is clicked. */
export function offerLink(app, url) {
  const name = appName(app);
  toast(t("launch.ready", { app: name }), {
    seconds: 110, action: [t("launch.go", { app: name }), () => window.open(url, "_blank", "noopener")],
  });
}

function saveFile(app, action) {
  const bytes = Uint8Array.from(atob(action.body), (character) => character.charCodeAt(0));
  const name = appName(app);
  const save = () => {
    const address = URL.createObjectURL(new Blob([bytes], { type: action.contentType }));
    el("a", { href: address, download: action.name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  };
  save();
  toast(t("launch.file", { app: name }), { seconds: 20, action: [t("launch.file.again"), save] });
}

const stage = document.getElementById("stage");

/** The gateway's own page of the app, in a frame. It reports its presence itself, and is told when it is covered. */
function showInPage(app, url) {
  closeStage();
  const name = appName(app);
  // A page of this very gateway, under whatever name this one was opened.
  const frame = el("iframe", {
    title: name, src: url.pathname + url.search + url.hash, allow: "clipboard-read; clipboard-write; fullscreen",
    referrerpolicy: "no-referrer",
  });
  const bar = el("div", { class: "stage-bar" },
    el("h2", {}, name),
    el("button", { type: "button", onclick: () => coverStage() }, t("launch.back")),
    el("button", { type: "button", onclick: () => frame.requestFullscreen?.() }, t("launch.full")),
    el("button", { type: "button", onclick: () => closeStage() }, t("launch.close", { app: name })));
  stage.setAttribute("aria-label", name);
  stage.replaceChildren(bar, frame);
  running = { app, frame };
  showStage();
}

addEventListener("message", (event) => {
  if (event.origin !== location.origin || !running || event.source !== running.frame.contentWindow) return;
  // What went wrong the frame says itself; the person closes it.
  if (event.data?.farbell === "ended") toast(t("launch.ended", { app: appName(running.app) }));
});

function showStage() {
  stage.hidden = false;
  document.body.classList.add("staged");
  for (const id of ["top", "main"]) document.getElementById(id).inert = true;
  running.frame.contentWindow?.postMessage({ farbell: "visible" }, location.origin);
  running.frame.focus();
  whenChanged();
}

/** Brings the running app to the front, and tells its session what was tapped. */
function showItem(action) {
  const ticket = action.url ? new URL(action.url).hash.slice(1) : "";
  if (ticket) running.frame.contentWindow?.postMessage({ farbell: "launch", ticket }, location.origin);
  showStage();
}

/** Back to the portal; the app goes on behind it, and counts as hidden. */
export function coverStage() {
  if (!running) return;
  running.frame.contentWindow?.postMessage({ farbell: "hidden" }, location.origin);
  leave();
}

/** Ends the app's client in this page. */
export function closeStage() {
  if (!running) return;
  running = null;
  leave();
  // Taken out, the frame's page says by itself that it is gone.
  stage.replaceChildren();
}

function leave() {
  stage.hidden = true;
  document.body.classList.remove("staged");
  for (const id of ["top", "main"]) document.getElementById(id).inert = false;
  document.getElementById("main").focus();
  whenChanged();
}
