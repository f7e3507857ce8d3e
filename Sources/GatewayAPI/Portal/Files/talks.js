// Conversations and contacts as the page knows them, and what is done with them.

import { call, list } from "./api.js";
import { appName, changed, state } from "./state.js";
import { t } from "./words.js";

const pageSize = 50;
const listSize = 200;
const refreshMilliseconds = 100;

/** `account/NAME` of whoever is signed in. */
export function self() { return `account/${state.session?.account}`; }

/** What people call an end: an account's name, or an app's. */
export function nameOf(peer) {
  const [kind, ...rest] = peer.split("/");
  return kind === "app" ? appName(rest.join("/")) : rest.join("/");
}

function path(peer) { return `/v1/conversations/${encodeURIComponent(peer)}`; }

// Lists

export async function loadTalks() {
  const [conversations, contacts, status] = await Promise.all([
    call("GET", `/v1/conversations?limit=${listSize}`), list("/v1/contacts"), call("GET", "/v1/status"),
  ]);
  state.talks = new Map(conversations.items.map((item) => [item.peer, item]));
  state.contacts = new Map(contacts.map((item) => [item.account, item]));
  state.status = status;
  changed();
}

/** Conversations, the newest first. */
export function talks() {
  return [...state.talks.values()].sort((a, b) => (b.last?.number ?? 0) - (a.last?.number ?? 0));
}

/** Unread messages of all conversations. */
export function unreadCount() { return [...state.talks.values()].reduce((sum, talk) => sum + talk.unread, 0); }

/** How a peer is, where it may be seen; null else. */
export function presenceOf(peer) {
  const contact = peer.startsWith("account/") ? state.contacts.get(nameOf(peer)) : null;
  return contact?.state === "contact" ? contact : null;
}

const refreshing = new Map();

/** Asks how a conversation stands; once for all news of a moment. */
function refresh(peer) {
  if (refreshing.has(peer)) return;
  refreshing.set(peer, setTimeout(async () => {
    refreshing.delete(peer);
    if (!state.session) return;
    const { items, next: _, ...talk } = await call("GET", `${path(peer)}?limit=1`);
    const last = items.at(-1) ?? null;
    if (!last) state.talks.delete(peer);
    else state.talks.set(peer, { ...talk, name: nameOf(peer), last });
    changed();
  }, refreshMilliseconds));
}

// One conversation

/** The conversation that is shown: its entries by number, and where the earlier ones are. */
let open = null;

/** Opens a conversation; returns it: `{peer, entries, earlier, peerRead, peerDelivered, read}`. */
export async function openTalk(peer) {
  open = { peer, entries: new Map(), earlier: null, read: 0, peerRead: 0, peerDelivered: 0, isLoaded: false };
  await load(open, "");
  return open;
}

export function closeTalk() { open = null; }
export function isOpen(peer) { return open?.peer === peer; }
export function openOne() { return open; }

/** The entries from before those that are shown. */
export async function loadEarlier() {
  if (open?.earlier) await load(open, `&before=${open.earlier}`);
}

async function load(talk, query) {
  const answer = await call("GET", `${path(talk.peer)}?limit=${pageSize}${query}`);
  for (const entry of answer.items) talk.entries.set(entry.number, entry);
  if (!query.startsWith("&after")) talk.earlier = answer.next;
  mark(talk, answer);
  talk.isLoaded = true;
  changed();
  return answer.next;
}

function mark(talk, { read, peerRead, peerDelivered }) {
  talk.read = Math.max(talk.read, read ?? 0);
  talk.peerRead = Math.max(talk.peerRead, peerRead ?? 0);
  talk.peerDelivered = Math.max(talk.peerDelivered, peerDelivered ?? 0);
}

/** Reads what came since the last entry that is shown. */
export async function catchUp() {
  const talk = open;
  if (!talk?.isLoaded) return;
  let more = true;
  while (more && open === talk) {
    const last = Math.max(0, ...talk.entries.keys());
    more = Boolean(await load(talk, `&after=${last}`));
  }
}

/** How far an entry of one's own has come: "sent", "delivered" or "read". */
export function stateOf(talk, entry) {
  if (entry.number <= talk.peerRead) return "read";
  return entry.number <= talk.peerDelivered || entry.state === "delivered" ? "delivered" : "sent";
}

/** The newest entry of the other side. */
function newestOfPeer(talk) {
  return Math.max(0, ...[...talk.entries.values()].filter((entry) => entry.from !== self()).map((entry) => entry.number));
}

/** Says that what is shown was read, where that is news. */
export async function markTalkRead() {
  const talk = open;
  if (!talk?.isLoaded || document.visibilityState !== "visible") return;
  const upTo = newestOfPeer(talk);
  if (upTo <= talk.read) return;
  talk.read = upTo;
  await call("POST", `${path(talk.peer)}/read`, { upTo });
}

// What is written

/** Sends; `id` is the same when it is tried again. */
export async function send(peer, body, attachments, id) {
  const [kind, ...rest] = peer.split("/");
  const files = attachments.length > 0 ? { attachments } : {};
  await call("POST", "/v1/messages", { to: { [kind]: rest.join("/") }, body, id, ...files });
  // The stream brings it too, where there is one.
  await catchUp().catch(() => {});
  refresh(peer);
}

export async function edit(entry, body) { apply(await call("PATCH", `/v1/messages/${entry.id}`, { body })); }

export async function withdraw(entry) {
  await call("DELETE", `/v1/messages/${entry.id}`);
  apply({ ...entry, body: "", attachments: undefined, withdrawn: new Date().toISOString() });
}

function apply(entry) {
  const known = open?.entries.get(entry.number);
  if (known) open.entries.set(entry.number, { ...known, ...entry });
  changed();
}

const composingSeconds = 4;
let lastTyping = { peer: null, at: 0, state: "paused" };

/** Tells the other side that something is being written, now and then; or that it is not any more. */
export function typing(peer, word) {
  const now = Date.now();
  const isSame = lastTyping.peer === peer && lastTyping.state === word;
  if (isSame && (word === "paused" || now - lastTyping.at < composingSeconds * 1000)) return;
  if (!isSame && word === "paused" && lastTyping.peer !== peer) return;
  lastTyping = { peer, at: now, state: word };
  // Not worth a word when it does not arrive.
  call("POST", `${path(peer)}/typing`, { state: word }).catch(() => {});
}

// Contacts and status

export async function addContact(account) {
  const contact = await call("PUT", `/v1/contacts/${encodeURIComponent(account)}`);
  state.contacts.set(contact.account, contact);
  changed();
}

export async function removeContact(account) {
  await call("DELETE", `/v1/contacts/${encodeURIComponent(account)}`);
  state.contacts.delete(account);
  changed();
}

export async function setBlocked(account, isBlocked) {
  await call(isBlocked ? "PUT" : "DELETE", `/v1/blocks/${encodeURIComponent(account)}`);
  await loadContact(account);
}

async function loadContact(account) {
  try {
    state.contacts.set(account, await call("GET", `/v1/contacts/${encodeURIComponent(account)}`));
  } catch (error) {
    if (error.status !== 404) throw error;
    state.contacts.delete(account);
  }
  changed();
}

export async function setStatus(change) {
  state.status = await call("PUT", "/v1/status", change);
  changed();
}

// News

/** Takes what the stream tells; whether it was something of conversations. */
export function hearTalk(name, data) {
  switch (name) {
    case "hello":
      loadTalks().catch(() => {});
      catchUp().catch(() => {});
      return false;
    case "message":
      if (data.entry && (data.sender.startsWith("account/") || data.sender.startsWith("app/"))) heardMessage(data);
      return false;
    case "conversation": heardConversation(data); return true;
    case "receipt": heardReceipt(data); return true;
    case "presence": {
      const contact = state.contacts.get(data.account);
      if (contact) {
        const { account, state: standing, blocked, since, kind } = contact;
        state.contacts.set(account, { account, state: standing, blocked, since, kind, ...data });
        changed();
      }
      return true;
    }
    case "contact": loadContact(data.account).catch(() => {}); return true;
    default: return false;
  }
}

/** What is announced of a message that stands on the stream alone: one between people has no `notify` event. Null for
 *  any other, and for what is being looked at. */
export function newsOf({ id, app, entry, sender }) {
  if (app || !entry || sender === self()) return null;
  const title = t("notice.from", { name: nameOf(sender) });
  return { notification: newsName(id), app: "", title, talk: sender, message: id, reply: true };
}

/** How the notification of a message is called. */
export function newsName(message) { return `message/${message}`; }

function heardMessage({ entry, id, sender, enqueued, subject, body, attachments }) {
  state.typing.delete(sender);
  heardEntry(sender, { number: entry, id, from: sender, at: enqueued, subject, body, attachments });
}

function heardConversation({ peer, entry, mark: read, typing: writing }) {
  if (entry) heardEntry(peer, entry);
  if (writing) heardTyping(peer, writing);
  if (read) {
    if (isOpen(peer)) mark(open, read.by === self() ? { read: read.read } : { peerRead: read.read });
    refresh(peer);
    changed();
  }
}

/** A message of one's own has arrived: so have those before it. */
function heardReceipt({ message, state: word }) {
  const entry = word === "delivered" && [...open?.entries.values() ?? []].find(({ id }) => id === message);
  if (!entry) return;
  mark(open, { peerDelivered: entry.number });
  changed();
}

function heardEntry(peer, entry) {
  if (isOpen(peer) && open.isLoaded) {
    open.entries.set(entry.number, { ...open.entries.get(entry.number), ...entry });
    changed();
  }
  refresh(peer);
}

function heardTyping(peer, { state: word, seconds }) {
  clearTimeout(state.typing.get(peer));
  state.typing.delete(peer);
  if (word === "composing") {
    state.typing.set(peer, setTimeout(() => { state.typing.delete(peer); changed(); }, seconds * 1000));
  }
  changed();
}
