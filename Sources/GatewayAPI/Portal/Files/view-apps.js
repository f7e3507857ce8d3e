// The list of apps: what is new, how the watching goes, and the way in.

import { button, el, fill, toast } from "./dom.js";
import { openApp, runningApp } from "./launch.js";
import { allowPush, pushState } from "./push.js";
import { messagesOf, state } from "./state.js";
import { moment, reason, t } from "./words.js";

/** Draws the view; returns what draws it anew after a change. */
export function drawApps(container) {
  const push = el("div", {});
  const apps = el("ul", { class: "apps", role: "list" });
  container.append(el("h1", { tabindex: "-1" }, t("apps")), push, apps);

  async function updatePush() { fill(push, pushCard(await pushState(), updatePush)); }

  function update() {
    fill(apps, state.apps.map(card));
    if (state.apps.length === 0) fill(apps, el("li", { class: "card" }, t("apps.none")));
  }

  updatePush();
  update();
  return update;
}

function pushCard(push, update) {
  if (push === "on") return null;
  const text = { off: "push.ask", denied: "push.denied", install: "push.install", unavailable: "push.unavailable" }[push];
  const allow = button(t("push.allow"), async () => {
    try {
      await allowPush();
    } catch (error) {
      toast(error.code && error.status !== undefined ? reason(error) : t("push.failed"), { kind: "error" });
    }
    await update();
  }, { class: "primary" });
  return el("section", { class: "card push", "aria-labelledby": "push-title" },
    el("div", {}, el("h2", { id: "push-title" }, t("push.title")), el("p", {}, t(text))), push === "off" ? allow : null);
}

/** How the watching goes: `[word, text]`. The word chooses the colour; the text says it to everyone. */
export function health(app) {
  if (!app.monitor) return ["plain", t("health.plain")];
  const registration = state.registrations.get(app.id);
  if (!registration) return ["unregistered", t("health.unregistered")];
  if (!registration.enabled) return ["stopped", t("health.off")];
  return [registration.monitor.state, t(`health.${registration.monitor.state}`)];
}

/** The line that says it. */
export function healthLine(app) {
  const [word, text] = health(app);
  const registration = state.registrations.get(app.id);
  const last = registration?.monitor.lastItem;
  return el("p", { class: `health ${word}` },
    el("span", { class: "dot", "aria-hidden": "true" }), text,
    last ? el("span", { class: "quiet" }, ` · ${t("health.lastItem", { time: moment(last) })}`) : null);
}

function card(app) {
  const isRegistered = state.registrations.has(app.id);
  const canOpen = app.farm && (isRegistered || !app.monitor);
  const count = messagesOf(app.id).length;
  const href = `#app/${encodeURIComponent(app.id)}`;
  const isRunning = runningApp() === app.id;
  return el("li", { class: "card app" },
    el("div", { class: "app-head" },
      el("h2", {}, el("a", { href, "data-key": `details-${app.id}` }, app.name)),
      count > 0 ? el("span", { class: "badge" }, t("apps.unread", { count: count >= 1000 ? "999+" : count })) : null),
    healthLine(app),
    el("div", { class: "actions" },
      canOpen
        ? button(isRunning ? t("launch.return", { app: app.name }) : t("apps.open"), () => openApp(app.id), {
          class: "primary", "data-key": `open-${app.id}`,
          "aria-label": isRunning ? null : t("apps.openNamed", { app: app.name }),
        }) : null,
      isRegistered
        ? el("a", { class: "button", href, "aria-label": t("apps.detailsOf", { app: app.name }) }, t("apps.details"))
        : null,
      app.monitor && !isRegistered
        ? el("a", { class: "button primary", href, "aria-label": t("apps.setUpNamed", { app: app.name }) },
          t("apps.setUp"))
        : null));
}
