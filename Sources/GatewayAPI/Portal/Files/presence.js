// Reports whether an app's client can be seen: by the page's visibility (W3C Page Visibility), with numbers that
// only grow, and every five seconds while it is visible. Silence means "not in front".

import { call } from "./api.js";

const beatMilliseconds = 5000;
const patienceMilliseconds = 1000;

/** One run of an app's client in this page. */
export class Presence {
  #id = null;
  #seq = 0;
  #timer = null;
  #opening = null;
  #isEnded = false;
  #look = () => this.look();
  #leave = () => this.end(true);
  /** The report that is under way. */
  #flying = null;
  #reported = null;

  constructor(app) {
    this.app = app;
    this.instance = crypto.randomUUID();
  }

  /** Logs in to the app, which starts its monitoring, and reports from now on. Throws a `Refusal`. */
  async begin() {
    document.addEventListener("visibilitychange", this.#look);
    addEventListener("pagehide", this.#leave);
    await this.#open();
    this.look();
  }

  get isVisible() { return !this.#isEnded && document.visibilityState === "visible"; }

  /** Reports how it is now. */
  look() {
    clearInterval(this.#timer);
    if (this.#isEnded) return;
    if (this.isVisible) {
      this.#beat();
      this.#timer = setInterval(() => this.#beat(), beatMilliseconds);
    } else {
      this.#report("hidden");
    }
  }

  /** The run is over. `isLeaving`: the page goes away, and with it what would wait. */
  end(isLeaving = false) {
    if (this.#isEnded) return;
    this.#isEnded = true;
    clearInterval(this.#timer);
    document.removeEventListener("visibilitychange", this.#look);
    removeEventListener("pagehide", this.#leave);
    if (isLeaving) {
      if (this.#id) this.#send("gone");
      return;
    }
    // A beat that came after "gone" would find no session.
    const patience = new Promise((done) => setTimeout(done, patienceMilliseconds));
    Promise.race([Promise.allSettled([this.#opening, this.#flying]), patience])
      .then(() => { if (this.#id) this.#send("gone"); });
  }

  #open() {
    this.#opening ??= call("POST", "/v1/sessions", { app: this.app, instance: this.instance })
      .then((session) => { this.#id = session.id; })
      .finally(() => { this.#opening = null; });
    return this.#opening;
  }

  #beat() {
    // One that hangs must not be followed by a queue of others.
    if (this.#flying && this.#reported !== "hidden") return;
    this.#report(document.hasFocus() ? "active" : "visible");
  }

  #report(presence) {
    this.#reported = presence;
    const flying = this.#send(presence).finally(() => { if (this.#flying === flying) this.#flying = null; });
    this.#flying = flying;
  }

  async #send(presence) {
    try {
      if (!this.#id) {
        // The gateway started anew: the session is opened again, but only by a client that can be seen.
        if (!this.isVisible) return;
        await this.#open();
        presence = this.isVisible ? presence : "hidden";
      }
      this.#seq += 1;
      await call("POST", `/v1/sessions/${this.#id}/presence`, { seq: this.#seq, state: presence },
        { keepalive: true });
    } catch (error) {
      // Offline: the lease ends by itself, and the next beat tries again.
      if (error.status === 404) this.#id = null;
      else if (error.status === 401 || error.status === 409) this.end(true);
    }
  }
}

/** Logs in to an app that is shown elsewhere, which starts its monitoring. Nobody tells whether it can be seen there:
 *  in doubt the gateway rings. */
export async function loginElsewhere(app) {
  const session = await call("POST", "/v1/sessions", { app, instance: crypto.randomUUID() });
  await call("POST", `/v1/sessions/${session.id}/presence`, { seq: 1, state: "gone" });
}
