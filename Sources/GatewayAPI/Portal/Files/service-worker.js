// Shows pushes, takes them back, and brings the portal to the front when one is clicked. Keeps the page's files for
// when there is no network.

const cacheName = "farbell-1";
const shell = "/";
/** Firefox lets a click do something for one second. */
const patienceMilliseconds = 700;
const words = {
  en: { hint: "You have a message", reply: "Reply", placeholder: "Your answer", unsent: "Your answer was not sent" },
  zh: { hint: "您有一条新消息", reply: "回复", placeholder: "您的回复", unsent: "您的回复未能发送" },
};
/** The language of the browser, as far as there are words in it. */
const spoken = () => words[self.navigator.language.startsWith("zh") ? "zh" : "en"];

self.addEventListener("install", (event) => {
  event.waitUntil(Promise.all([caches.open(cacheName).then((cache) => cache.add(shell)), self.skipWaiting()]));
});

self.addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) if (name !== cacheName) await caches.delete(name);
    await self.clients.claim();
  })());
});

// The network first: what is kept is only for when there is none. Calls of the API are left alone.
self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== self.location.origin) return;
  const isShell = event.request.mode === "navigate" && isPage(url.pathname);
  if (isShell || url.pathname.startsWith("/portal/")) event.respondWith(fresh(event.request, isShell));
});

function isPage(path) { return path === "/" || path.startsWith("/l/"); }

async function fresh(request, isShell) {
  // A tap is nothing to keep.
  const key = isShell ? shell : request;
  const cache = await caches.open(cacheName);
  try {
    const answer = await fetch(request);
    if (answer.ok) await cache.put(key, answer.clone());
    return answer;
  } catch (error) {
    const kept = await cache.match(key);
    if (kept) return kept;
    throw error;
  }
}

self.addEventListener("push", (event) => {
  let news;
  try {
    news = event.data.json();
  } catch {
    news = {};
  }
  event.waitUntil(news.clear ? clear(news) : show(news));
});

/** Shows a notification; one of the same collapse id takes the older one's place. */
async function show(news) {
  for (const shown of await self.registration.getNotifications()) {
    if (shown.data?.notification === news.notification) shown.close();
  }
  await self.registration.showNotification(news.title ?? "Farbell", {
    body: news.body ?? (news.title ? "" : spoken().hint),
    tag: news.collapse || news.notification || "farbell",
    // Told again only where the device has something new to say.
    renotify: true,
    icon: "/portal/icon-192.png",
    badge: "/portal/icon-192.png",
    actions: news.reply ? [replyAction()] : [],
    data: {
      notification: news.notification, tap: news.tap, app: news.app, talk: news.talk, message: news.message, at: Date.now(),
    },
  });
  await badge(news.badge);
}

/** A field to type into; where the browser has none, a button like a click on the notification. */
function replyAction() {
  const { reply, placeholder } = spoken();
  return { action: "reply", type: "text", title: reply, placeholder };
}

/** Takes back what was read elsewhere. */
async function clear(news) {
  for (const shown of await self.registration.getNotifications()) {
    if (news.clear.includes(shown.data?.notification)) shown.close();
  }
  await badge(news.badge);
}

async function badge(count) {
  if (count === undefined || !self.navigator.setAppBadge) return;
  await (count > 0 ? self.navigator.setAppBadge(count) : self.navigator.clearAppBadge()).catch(() => {});
}

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const data = event.notification.data ?? {};
  const text = event.reply?.trim();
  event.waitUntil(text ? answer(data, text) : open(data));
});

/** Sends what was typed into a notification, with no page open. What cannot be sent is shown, to be sent again. */
async function answer(data, text) {
  if (await send(data, text)) return;
  await self.registration.showNotification(spoken().unsent, {
    body: text, tag: `unsent-${data.notification}`, icon: "/portal/icon-192.png", actions: [replyAction()], data,
  });
}

/** Whether the answer is with the gateway. The same one twice is one message there. */
async function send({ notification, tap, message }, text) {
  try {
    const session = await fetch("/v1/portal/session", { cache: "no-store" });
    if (session.status !== 200) return false;
    const { csrf } = await session.json();
    const post = (path, body) => fetch(path, {
      method: "POST", headers: { "Content-Type": "application/json", "Farbell-CSRF": csrf }, body: JSON.stringify(body),
    });
    const answer = { body: text, id: `reply/${notification}` };
    if (!message) return (await post("/v1/replies", { tap, ...answer })).status === 202;
    // What the page announced has no tap.
    if ((await post(`/v1/messages/${message}/reply`, answer)).status !== 202) return false;
    await post(`/v1/messages/${message}/read`, {}).catch(() => {});
    return true;
  } catch {
    return false;
  }
}

/** Gives the tap to an open portal, or opens one at it. `talk`: the conversation, where the page itself announced it. */
async function open({ tap, app, talk }) {
  const windows = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  // A page goes on by the address that it was opened at.
  const portal = windows.filter((client) => isPage(new URL(client.url).pathname))
    .sort((a, b) => Number(b.focused) - Number(a.focused))[0];
  // What people write has no app: the page shows the conversation.
  const view = app === "" ? "#talk" : "";
  if (!portal && talk) return self.clients.openWindow(`/#talk/${encodeURIComponent(talk)}`);
  if (!portal) return self.clients.openWindow(tap ? `/l/${encodeURIComponent(tap)}${view}` : "/");
  // A click lets the worker do one thing: open the app's own tab, or bring the portal to the front.
  const url = await ask(portal, { farbell: "tap", tap, app, talk });
  try {
    if (url) await self.clients.openWindow(url);
    else await portal.focus();
  } catch {
    // Not every browser lets every click do this; the page has its news already.
    if (url) portal.postMessage({ farbell: "ready", app, url });
  }
}

/** Gives a page a tap; returns what is to be opened in a tab of its own, if anything, or null where it takes long. */
function ask(page, message) {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    let isLate = false;
    const patience = setTimeout(() => {
      isLate = true;
      resolve(null);
    }, patienceMilliseconds);
    port1.onmessage = ({ data: url }) => {
      clearTimeout(patience);
      if (isLate && url) page.postMessage({ farbell: "ready", app: message.app, url });
      resolve(url);
    };
    page.postMessage(message, [port2]);
  });
}

// Swept away, not read: the message stays open, and the badge goes on counting it.
self.addEventListener("notificationclose", (event) => {
  event.waitUntil(tell({ farbell: "closed", notification: event.notification.data?.notification }));
});

async function tell(message) {
  for (const client of await self.clients.matchAll({ type: "window" })) client.postMessage(message);
}

// News that came on the page's stream: shown by the system only where no page of ours can be seen.
self.addEventListener("message", (event) => {
  const { farbell, news, ids, isVisible } = event.data ?? {};
  if (farbell === "notify") event.waitUntil(announce(news, isVisible, event.source?.id, event.ports[0]));
  if (farbell === "clear") event.waitUntil(clear({ clear: ids }));
});

/** `isVisible`: whether the page that asks can be seen. It knows before the browser says so of it here. */
async function announce(news, isVisible, page, port) {
  const windows = await self.clients.matchAll({ type: "window" });
  let isShown = isVisible || windows.some((client) => client.id !== page && client.visibilityState === "visible");
  if (!isShown && Notification.permission === "granted") {
    await show(news);
    isShown = true;
  }
  port.postMessage(isShown);
}

// The browser has a new address for us: it is told to the gateway, or the old one rings in vain.
self.addEventListener("pushsubscriptionchange", (event) => {
  event.waitUntil(renew(event.newSubscription));
});

async function renew(subscription) {
  const [services, session] = await Promise.all(["/v1/push", "/v1/portal/session"].map(async (path) => {
    const answer = await fetch(path, { cache: "no-store" });
    return answer.status === 200 ? answer.json() : null;
  }));
  const service = services?.items.find((item) => item.applicationServerKey);
  if (!session || !service) return;
  const renewed = subscription ?? await self.registration.pushManager.subscribe({
    userVisibleOnly: true, applicationServerKey: service.applicationServerKey,
  });
  const { endpoint, keys } = renewed.toJSON();
  await fetch(`/v1/devices/${session.device}`, {
    method: "PATCH",
    headers: { "Content-Type": "application/json", "Farbell-CSRF": session.csrf },
    body: JSON.stringify({ channel: { adapter: service.name, subscription: { endpoint, keys } } }),
  });
}
