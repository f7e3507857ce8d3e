// The portal: who is signed in, which view is shown, what happens with news.

import { call, setProof, whenSignedOut } from "./api.js";
import { button, choice, el, fill, toast } from "./dom.js";
import { closeStage, offerLink, openTap, talkOfTap, whenStageChanges } from "./launch.js";
import { hear } from "./live.js";
import { announce, canShow, endPush, prepare, refreshPush, takeBack } from "./push.js";
import {
  addMessage, changed, forget, loadApps, loadDevices, loadMessages, removeMessage, state, watch,
} from "./state.js";
import { hearTalk, isOpen, loadTalks, newsName, newsOf, unreadCount } from "./talks.js";
import { drawApp } from "./view-app.js";
import { drawApps } from "./view-apps.js";
import { drawDevices } from "./view-devices.js";
import { drawTalk } from "./view-talk.js";
import { drawTalks, talkAddress } from "./view-talks.js";
import { currentSession, drawSignIn } from "./view-sign-in.js";
import { language, languages, reason, speak, t } from "./words.js";

const top = document.getElementById("top");
const main = document.getElementById("main");
const healthMilliseconds = 15_000;
const healthMillisecondsWhenStarting = 1500;
const pressMilliseconds = 1000;

/** The views by the first word of the address's fragment, with what the navigation calls them. Each draws itself and
 *  returns `{update, end}`. */
const views = {
  apps: { label: "nav.apps", draw: (container) => ({ update: drawApps(container) }) },
  app: { draw: (container, id) => drawApp(container, id, () => show()) },
  talks: { label: "nav.talks", draw: (container) => ({ update: drawTalks(container) }) },
  talk: { draw: (container, peer) => drawTalk(container, peer) },
  devices: { label: "nav.devices", draw: (container) => ({ update: drawDevices(container, signOut) }) },
};

/** Which entry of the navigation a view without one belongs to. */
const belongsTo = { app: "apps", talk: "talks" };

let view = null;
let stopHearing = () => {};
/** A tap that waits for somebody to sign in. `isOwnPage`: this page was opened for it. `app`: what it is about, as far
 *  as that is known; empty for what people write. */
let waitingTap = readTap();

function readTap() {
  const [, tap] = /^\/l\/([^/]+)$/.exec(location.pathname) ?? [];
  const app = location.hash === "#talk" ? "" : undefined;
  // Used once: neither the history nor a reload is to bring it again.
  if (tap) history.replaceState(null, "", "/");
  return tap ? { tap: decodeURIComponent(tap), isOwnPage: true, app } : null;
}

// Frame

let topKey = "";

function drawTop() {
  // Only where something changed: an open list of languages must stay open.
  const key = JSON.stringify([state.stream, state.session?.device, place()[0], language, unreadCount()]);
  if (key === topKey) return;
  topKey = key;
  const chosen = choice(Object.entries(languages), language, { id: "language", "aria-label": t("language") });
  chosen.addEventListener("change", () => {
    speak(chosen.value);
    const locale = chosen.value === "zh" ? "zh-CN" : chosen.value;
    if (state.session) call("PATCH", `/v1/devices/${state.session.device}`, { locale }).catch(() => {});
    drawTop();
    show();
  });
  document.getElementById("skip").textContent = t("skip");
  const [current] = place();
  fill(top,
    el("a", { class: "brand", href: "#apps" }, el("img", { src: "/portal/icon.svg", alt: "", width: "32", height: "32" }), "Farbell"),
    state.session ? el("nav", { "aria-label": t("nav") }, Object.entries(views).filter(([, item]) => item.label)
      .map(([name, item]) => el("a", {
        href: `#${name}`, "data-key": `nav-${name}`,
        "aria-current": name === (belongsTo[current] ?? current) ? "page" : null,
      }, t(item.label), name === "talks" && unreadCount() > 0
        ? el("span", { class: "badge" }, t("talks.unread", { count: unreadCount() })) : null))) : null,
    el("div", { class: "side" },
      state.session ? el("span", { class: `stream ${state.stream}`, role: "status" },
        el("span", { class: "dot", "aria-hidden": "true" }), t(`stream.${state.stream}`)) : null,
      chosen,
      state.session ? button(t("signOut"), () => signOut(false), { class: "quiet", id: "sign-out" }) : null));
}

/** The view and what it is of. */
function place() {
  const [name, ...rest] = location.hash.slice(1).split("/");
  return name in views ? [name, decodeURIComponent(rest.join("/"))] : ["apps", ""];
}

function show({ note } = {}) {
  view?.end?.();
  view = null;
  main.replaceChildren();
  drawTop();
  if (!state.session) {
    document.title = `${t("signIn")} · Farbell`;
    drawSignIn(main, { note: note ?? (waitingTap ? t("signIn.tap") : undefined), done: begin });
    return;
  }
  const [name, id] = place();
  view = views[name].draw(main, id);
  const heading = main.querySelector("h1");
  document.title = `${heading?.textContent ?? ""} · Farbell`;
}

// Moved to another view: what reads aloud begins at its heading.
addEventListener("hashchange", () => {
  show();
  main.querySelector("h1")?.focus();
});

// Taken out of the browser's cache of pages: the view's client had said that it is gone.
addEventListener("pageshow", (event) => { if (event.persisted) show(); });

// Session

async function begin() {
  await Promise.all([loadApps(), loadMessages(), loadTalks()]);
  show();
  stopHearing();
  stopHearing = hear({ event: heard, announce: announced });
  refreshPush().catch(() => {});
  watchHealth();
  if (waitingTap) {
    const { tap, isOwnPage, app, talk } = waitingTap;
    waitingTap = null;
    if (talk) showTalk(talk);
    else await follow(tap, isOwnPage, app);
  }
}

async function follow(tap, isOwnPage, app, openTab) {
  // What people and applications write is read here: there is nothing to bring up.
  if (app === "") {
    try {
      showTalk(await talkOfTap(tap));
    } catch (error) {
      showTalk(null);
      toast(reason(error), { kind: "error" });
    }
    return;
  }
  const known = state.apps.find(({ id }) => id === app);
  if (known && !known.farm && !known.monitor) { location.hash = talkAddress(`app/${app}`); return; }
  const shown = tap ? await openTap(tap, { isOwnPage, app, openTab }) : { app };
  if (shown?.app && !shown.peer) location.hash = `#app/${encodeURIComponent(shown.app)}`;
  else if (shown) showTalk(shown.peer);
}

/** A conversation, or the list of them. */
function showTalk(peer) { location.hash = peer ? talkAddress(peer) : "#talks"; }

async function signOut(everywhere) {
  try {
    await endPush();
    await call("DELETE", `/v1/portal/session${everywhere ? "?everywhere=true" : ""}`);
  } catch (error) {
    // Signed out from elsewhere meanwhile: that is what was wanted.
    if (error.status !== 401) return toast(reason(error), { kind: "error" });
  }
  ended();
}

function ended(note) {
  stopHearing();
  stopHearing = () => {};
  closeStage();
  setProof(null);
  view?.end?.();
  view = null;
  forget();
  navigator.clearAppBadge?.().catch(() => {});
  show({ note });
}

whenSignedOut(() => ended(t("signIn.ended")));

// News

/** The conversation that a notification is about; null for news of a watched app. */
function talkOf(data) {
  const sender = state.messages.get(data.message)?.sender ?? "";
  const isPeople = sender.startsWith("account/") && sender !== `account/${state.session?.account}`;
  return isPeople || (sender.startsWith("app/") && !state.registrations.has(data.app)) ? sender : null;
}

function heard(name, data) {
  if (hearTalk(name, data)) return;
  switch (name) {
    case "hello": loadMessages().catch(() => {}); break;
    case "message":
      addMessage(data);
      heardNews(newsOf(data));
      break;
    case "notify":
      if (document.visibilityState === "visible") {
        const peer = talkOf(data);
        if (peer && isOpen(peer)) break;
        const open = () => { if (peer) showTalk(peer); else follow(data.tap, false, data.app); };
        toast([data.title, data.body].filter(Boolean).join(": "), { action: [t("notice.open"), open], seconds: 12 });
      }
      break;
    case "clear":
      removeMessage(data.message);
      takeBack([...data.notifications ?? [], newsName(data.message)]);
      break;
    case "device":
      if (data.state === "pruned") toast(t("notice.pruned"), { kind: "error", seconds: 20 });
      loadDevices().catch(() => {});
      break;
    default: break;
  }
}

/** Says in the page that somebody wrote, unless that is before one's eyes. */
function heardNews(news) {
  if (!news || document.visibilityState !== "visible" || isOpen(news.talk) || place()[0] === "talks") return;
  toast(news.title, { action: [t("notice.open"), () => showTalk(news.talk)], seconds: 12 });
}

/** Shows what the system should show; says whether the event may be acknowledged. */
async function announced(name, data) {
  const news = name === "notify" ? data : name === "message" ? newsOf(data) : null;
  return news ? announce(news) : canShow();
}

/** What the service worker says. After a click it may open tabs, which a page may not: it is answered with them. */
async function told(message, port) {
  if (message?.farbell === "ready") offerLink(message.app, new URL(message.url));
  if (message?.farbell !== "tap") return;
  let tab = null;
  // An older worker, which the page was not reloaded for, opens nothing.
  const openTab = port ? (url) => { tab = url.href; } : undefined;
  if (!state.session) waitingTap = { tap: message.tap, isOwnPage: false, app: message.app, talk: message.talk };
  else if (message.talk) showTalk(message.talk);
  else await follow(message.tap, false, message.app, openTab);
  port?.postMessage(tab);
}

/** Set while a button of the mouse or a finger is down. */
let press = null;
let isDrawingDue = false;

// A click is lost where what was pressed is replaced before it is let go: changes wait until then, a second at most.
addEventListener("pointerdown", () => {
  clearTimeout(press);
  press = setTimeout(released, pressMilliseconds);
}, true);
// The click itself comes right after them.
for (const name of ["pointerup", "pointercancel"]) addEventListener(name, () => setTimeout(released), true);

function released() {
  clearTimeout(press);
  press = null;
  if (!isDrawingDue) return;
  isDrawingDue = false;
  changed();
}

watch(() => {
  if (!state.session) return;
  if (press !== null) {
    isDrawingDue = true;
    return;
  }
  drawTop();
  view?.update?.();
  if (isStarting() && !isHealthDueSoon) watchHealth();
  const count = [...state.messages.values()].filter((message) => message.app).length;
  (count > 0 ? navigator.setAppBadge?.(count) : navigator.clearAppBadge?.())?.catch(() => {});
});

let healthTimer = null;
let isHealthDueSoon = false;

/** Whether a monitor is on its way: worth a look soon. */
function isStarting() {
  return [...state.registrations.values()]
    .some(({ enabled, monitor }) => enabled && monitor.state === "starting");
}

/** How the watching goes does not stand on the stream: it is asked for while somebody can see it. */
function watchHealth() {
  clearTimeout(healthTimer);
  isHealthDueSoon = isStarting();
  healthTimer = setTimeout(async () => {
    if (!state.session) return;
    if (document.visibilityState === "visible") await loadApps().catch(() => {});
    watchHealth();
  }, isHealthDueSoon ? healthMillisecondsWhenStarting : healthMilliseconds);
}

document.addEventListener("visibilitychange", () => {
  if (document.visibilityState !== "visible" || !state.session) return;
  Promise.all([loadApps(), loadMessages(), loadTalks()]).catch(() => {});
});

whenStageChanges(changed);

async function start() {
  drawTop();
  const ready = prepare(told).catch(() => {});
  try {
    state.session = await currentSession();
  } catch (error) {
    toast(reason(error), { kind: "error", seconds: 60 });
  }
  await ready;
  if (state.session) await begin().catch((error) => toast(reason(error), { kind: "error", seconds: 60 }));
  else show();
  document.body.dataset.ready = "true";
}

start();
