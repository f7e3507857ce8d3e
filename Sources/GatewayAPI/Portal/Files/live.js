// The device's event stream. A device has one: of several tabs only the one that holds the lock opens it, and
// passes on to the others what it hears.

import { call } from "./api.js";
import { state, changed } from "./state.js";

const names = ["hello", "message", "notify", "clear", "receipt", "presence", "launch", "device", "conversation",
  "contact"];
const retryMilliseconds = 5000;
const ackMilliseconds = 250;

/** Starts hearing. `handlers.event(name, data)` runs in every tab; `handlers.announce(data)` only in the one that
 *  holds the stream, and says whether somebody was shown the news. Returns what ends it. */
export function hear(handlers) {
  const ended = new AbortController();
  const channel = new BroadcastChannel("farbell");
  let stream = null;
  channel.onmessage = ({ data }) => {
    if (data.name === "ask") stream?.tell();
    else if (data.name === "stream") say(data.data);
    else handlers.event(data.name, data.data);
  };
  channel.postMessage({ name: "ask" });
  const hold = () => new Promise((release) => {
    stream = new Stream(handlers, channel);
    stream.open();
    ended.signal.addEventListener("abort", () => { stream.close(); release(); }, { once: true });
  });
  if (navigator.locks) navigator.locks.request("farbell-stream", { signal: ended.signal }, hold).catch(() => {});
  else hold();
  return () => {
    ended.abort();
    channel.close();
  };
}

function say(word) {
  state.stream = word;
  changed();
}

class Stream {
  #source = null;
  #retry = null;
  #ack = { number: 0, sent: 0, timer: null };
  #isClosed = false;

  constructor(handlers, channel) {
    this.handlers = handlers;
    this.channel = channel;
  }

  open() {
    if (this.#isClosed) return;
    this.#source = new EventSource("/v1/stream");
    this.#source.onopen = () => this.#say("live");
    this.#source.onerror = () => {
      this.#say("offline");
      // The browser itself comes back, unless it was refused.
      if (this.#source?.readyState === EventSource.CLOSED) this.#later();
    };
    for (const name of names) {
      this.#source.addEventListener(name, (event) => this.#heard(name, event).catch(() => {}));
    }
  }

  close() {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    clearTimeout(this.#ack.timer);
    this.#source?.close();
  }

  #later() {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(async () => {
      // Tells the page where the session is over.
      await call("GET", "/v1/devices?limit=1").catch(() => {});
      if (state.session) this.open();
    }, retryMilliseconds * (1 + Math.random()));
  }

  /** Tells the other tabs how the connection is. */
  tell() { this.channel.postMessage({ name: "stream", data: state.stream }); }

  #say(word) {
    say(word);
    this.tell();
  }

  async #heard(name, event) {
    const data = JSON.parse(event.data);
    this.channel.postMessage({ name, data });
    this.handlers.event(name, data);
    const number = Number(event.lastEventId);
    // What nobody could be shown stays unacknowledged, so that the gateway tells elsewhere.
    const isShown = await this.handlers.announce(name, data);
    if (isShown && number) this.#acknowledge(number);
  }

  #acknowledge(number) {
    const ack = this.#ack;
    ack.number = Math.max(ack.number, number);
    ack.timer ??= setTimeout(async () => {
      ack.timer = null;
      if (ack.number <= ack.sent) return;
      const upTo = ack.number;
      try {
        await call("POST", "/v1/stream/ack", { upTo });
        ack.sent = upTo;
      } catch {
        // Comes again with the next event, or from the cursor.
      }
    }, ackMilliseconds);
  }
}
