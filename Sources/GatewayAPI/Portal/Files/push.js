// The service worker and the browser's push subscription.

import { call } from "./api.js";
import { state } from "./state.js";

const workerURL = "/service-worker.js";
let registration = null;
let service = null;

/** Starts the service worker and looks for a push service of the gateway's. `handler` gets what the worker says, and
 *  the port that it may expect an answer on. */
export async function prepare(handler) {
  const { items } = await call("GET", "/v1/push");
  service = items.find((item) => item.kind === "webpush" && item.applicationServerKey) ?? null;
  if (!("serviceWorker" in navigator)) return;
  navigator.serviceWorker.addEventListener("message", ({ data, ports }) => handler(data, ports[0]));
  // Only this one script may become a worker (Trusted Types).
  const policy = window.trustedTypes?.createPolicy("farbell", {
    createScriptURL(url) {
      if (url !== workerURL) throw new TypeError("no script of ours");
      return url;
    },
  });
  registration = await navigator.serviceWorker.register(policy?.createScriptURL(workerURL) ?? workerURL);
  navigator.serviceWorker.startMessages();
}

/** "on", "off" (can be asked for), "denied", "install" (iOS: only from the home screen) or "unavailable". */
export async function pushState() {
  const isHandheldApple = /iPad|iPhone/.test(navigator.userAgent);
  if (isHandheldApple && !("PushManager" in window) && !navigator.standalone) return "install";
  if (!service || !registration || !("PushManager" in window)) return "unavailable";
  if (Notification.permission === "denied") return "denied";
  if (Notification.permission !== "granted") return "off";
  return (await registration.pushManager.getSubscription()) ? "on" : "off";
}

/** Asks for the permission and gives the gateway this browser's address. */
export async function allowPush() {
  if ((await Notification.requestPermission()) !== "granted") return;
  await subscribe();
}

/** Tells the gateway the address again: it may have changed, or another account signed in. */
export async function refreshPush() {
  if ((await pushState()) === "on") await subscribe();
}

async function subscribe() {
  await navigator.serviceWorker.ready;
  const key = bytes(service.applicationServerKey);
  let subscription = await registration.pushManager.getSubscription();
  // An address is bound to the key it was asked for with.
  if (subscription && !same(new Uint8Array(subscription.options.applicationServerKey ?? []), key)) {
    await subscription.unsubscribe();
    subscription = null;
  }
  subscription ??= await registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  const { endpoint, keys } = subscription.toJSON();
  await call("PATCH", `/v1/devices/${state.session.device}`,
    { channel: { adapter: service.name, subscription: { endpoint, keys } } });
}

/** Gives the address up: nothing may ring here for somebody who signed out. */
export async function endPush() {
  const subscription = await registration?.pushManager?.getSubscription();
  await subscription?.unsubscribe().catch(() => {});
  await takeBack((await registration?.getNotifications())?.map((shown) => shown.data?.notification) ?? []);
}

/** Shows news that came on the stream, unless a page of ours can be seen; whether somebody was shown it. */
export async function announce(news) {
  const worker = registration?.active;
  if (!worker) return document.visibilityState === "visible";
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = ({ data }) => resolve(data);
    setTimeout(() => resolve(document.visibilityState === "visible"), 3000);
    worker.postMessage({ farbell: "notify", news, isVisible: document.visibilityState === "visible" }, [port2]);
  });
}

/** Whether news could be shown to somebody now. */
export function canShow() {
  return document.visibilityState === "visible"
    || (Boolean(registration?.active) && Notification.permission === "granted");
}

/** Closes notifications that were read elsewhere. */
export async function takeBack(ids) {
  registration?.active?.postMessage({ farbell: "clear", ids });
}

function bytes(base64URL) {
  const text = atob(base64URL.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function same(a, b) { return a.length === b.length && a.every((byte, index) => byte === b[index]); }
