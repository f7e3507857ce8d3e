// What the page knows, and who wants to hear when that changes.

import { call, list } from "./api.js";

export const state = {
  /** `{account, device, csrf}`; null: nobody is signed in. */
  session: null,
  apps: [],
  /** By app. */
  registrations: new Map(),
  /** Open messages by id. */
  messages: new Map(),
  devices: [],
  sessions: [],
  /** Conversations by their other end: `account/NAME`, `app/ID`. */
  talks: new Map(),
  /** Contacts by account. */
  contacts: new Map(),
  /** Who is writing: by their end, the timer that ends it. */
  typing: new Map(),
  /** What the account says of itself; null: not known yet. */
  status: null,
  /** "connecting", "live" or "offline". */
  stream: "connecting",
};

const listeners = new Set();

/** Calls `listener` after each change; returns what ends that. */
export function watch(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

let isAnnounced = false;

/** Tells the listeners, once for all changes of this moment. */
export function changed() {
  if (isAnnounced) return;
  isAnnounced = true;
  queueMicrotask(() => {
    isAnnounced = false;
    for (const listener of [...listeners]) listener();
  });
}

/** Forgets everything of an account. */
export function forget() {
  state.session = null;
  state.apps = [];
  state.registrations = new Map();
  state.messages = new Map();
  state.devices = [];
  state.sessions = [];
  state.talks = new Map();
  state.contacts = new Map();
  state.typing.forEach(clearTimeout);
  state.typing = new Map();
  state.status = null;
  changed();
}

export async function loadApps() {
  const [apps, registrations] = await Promise.all([list("/v1/apps"), list("/v1/registrations")]);
  state.apps = apps.sort((a, b) => a.name.localeCompare(b.name));
  state.registrations = new Map(registrations.map((item) => [item.app, item]));
  changed();
}

/** What the stream told while lists were under way: it is newer than they are. */
const underWay = new Set();

export async function loadMessages() {
  const heard = { added: new Map(), removed: new Set() };
  underWay.add(heard);
  try {
    const messages = new Map((await list("/v1/messages")).map((message) => [message.id, message]));
    for (const id of heard.removed) messages.delete(id);
    for (const [id, message] of heard.added) messages.set(id, message);
    state.messages = messages;
  } finally {
    underWay.delete(heard);
  }
  changed();
}

/** A message has come. */
export function addMessage(message) {
  for (const heard of underWay) heard.added.set(message.id, message);
  state.messages.set(message.id, message);
  changed();
}

/** A message is open no more. */
export function removeMessage(id) {
  for (const heard of underWay) {
    heard.added.delete(id);
    heard.removed.add(id);
  }
  state.messages.delete(id);
  changed();
}

export async function loadDevices() {
  const [devices, sessions] = await Promise.all([list("/v1/devices"), list("/v1/sessions")]);
  state.devices = devices.sort((a, b) => b.lastSeen.localeCompare(a.lastSeen));
  state.sessions = sessions;
  changed();
}

/** The name of an app that may be configured no more. */
export function appName(id) { return state.apps.find((app) => app.id === id)?.name ?? id; }

/** Open messages of an app, the newest first. */
export function messagesOf(app) {
  return [...state.messages.values()].filter((message) => message.app === app).sort((a, b) => b.seq - a.seq);
}

/** Says that a message was read, here and to the account's other devices. */
export async function markRead(message) {
  await call("POST", `/v1/messages/${encodeURIComponent(message.id)}/read`);
  removeMessage(message.id);
}
