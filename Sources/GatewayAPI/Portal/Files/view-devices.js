// The account's devices and open apps.

import { call } from "./api.js";
import { button, confirm, el, fill, toast } from "./dom.js";
import { appName, loadDevices, state } from "./state.js";
import { moment, reason, t } from "./words.js";

/** Draws the view; returns what draws it anew after a change. `signOut(everywhere)` ends sessions. */
export function drawDevices(container, signOut) {
  const devices = el("ul", { class: "rows", role: "list" });
  const sessions = el("div", {});
  container.append(
    el("h1", { tabindex: "-1" }, t("devices")), el("section", { class: "card", "aria-label": t("devices") }, devices),
    el("section", { class: "card", "aria-labelledby": "sessions-title" },
      el("h2", { id: "sessions-title" }, t("sessions")), sessions),
    el("section", { class: "card", "aria-labelledby": "everywhere-title" },
      el("h2", { id: "everywhere-title" }, t("devices.everywhere")), el("p", {}, t("devices.everywhere.hint")),
      el("div", { class: "actions" }, button(t("devices.everywhere"), async () => {
        const question = t("devices.everywhere.ask", { count: state.devices.length });
        if (await confirm(question, t("devices.everywhere.yes"), t("cancel"))) await signOut(true);
      }, { class: "danger", id: "everywhere" }))));

  function update() {
    fill(devices, state.devices.map((device) => row(device, signOut)));
    fill(sessions, sessionList());
  }

  update();
  loadDevices().catch((error) => toast(reason(error), { kind: "error" }));
  return update;
}

function row(device, signOut) {
  const isOwn = device.id === state.session?.device;
  const { name } = device;
  return el("li", {},
    el("div", {},
      el("h2", {}, name, isOwn ? el("span", { class: "badge calm" }, t("devices.this")) : null),
      el("p", { class: "quiet" },
        device.connected ? t("devices.connected") : t("devices.seen", { time: moment(device.lastSeen) }), " · ",
        device.channel ? t("devices.channel", { name: device.channel.adapter }) : t("devices.noChannel"))),
    el("div", { class: "actions" },
      device.channel ? button(t("devices.test"), () => test(device), {
        "data-key": `test-${device.id}`, "aria-label": t("devices.testOf", { name }), class: "small",
      }) : null,
      button(t("devices.remove"), async () => {
        if (!(await confirm(t("devices.remove.ask", { name }), t("devices.remove"), t("cancel")))) return;
        if (isOwn) return signOut(false);
        await call("DELETE", `/v1/devices/${encodeURIComponent(device.id)}`);
        await loadDevices();
      }, { "data-key": `remove-${device.id}`, "aria-label": t("devices.removeOf", { name }), class: "small danger" })));
}

async function test(device) {
  try {
    const report = await call("POST", `/v1/devices/${encodeURIComponent(device.id)}/test`, {});
    const detail = report.reason ?? report.status ?? "";
    toast(t(`devices.test.${report.outcome}`, { reason: detail }),
      { kind: report.outcome === "delivered" ? "info" : "error" });
  } catch (error) {
    toast(reason(error), { kind: "error" });
  }
}

function sessionList() {
  const open = state.sessions.filter((session) => session.state !== "gone");
  if (open.length === 0) return el("p", {}, t("sessions.none"));
  return el("ul", { class: "rows", role: "list" }, open.map((session) => {
    const device = state.devices.find((candidate) => candidate.id === session.device)?.name ?? session.device;
    // A lease that has run out says nothing any more.
    const presence = session.leaseSeconds > 0 ? session.state : "hidden";
    return el("li", {},
      el("div", {}, el("h3", {}, appName(session.app)), el("p", { class: "quiet" }, device, " · ", t(`sessions.${presence}`))),
      button(t("sessions.end"), async () => {
        await call("DELETE", `/v1/sessions/${encodeURIComponent(session.id)}`);
        await loadDevices();
      }, {
        "data-key": `end-${session.id}`, "aria-label": t("sessions.endOf", { app: appName(session.app), device }),
        class: "small",
      }));
  }));
}
