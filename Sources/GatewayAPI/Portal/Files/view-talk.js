// One conversation: its history, what is written now, and how far it has come.

import { Attachments, canAttach } from "./attach.js";
import { busy, button, confirm, el, fill, toast } from "./dom.js";
import { state } from "./state.js";
import {
  closeTalk, edit, loadEarlier, markTalkRead, nameOf, openOne, openTalk, presenceOf, self, send, stateOf, typing, withdraw,
} from "./talks.js";
import { presenceLine } from "./view-talks.js";
import { moment, reason, t } from "./words.js";

const longest = 65_536;
const pauseMilliseconds = 5000;
/** Nearer to the end than this, what comes is followed. */
const nearPixels = 120;

/** Draws a conversation; returns `{update, end}`. */
export function drawTalk(container, peer) {
  const name = nameOf(peer);
  const status = el("div", { class: "talk-status", role: "status" });
  const earlier = el("div", { class: "actions" });
  const log = el("div", { class: "log", role: "log", tabindex: "0", "aria-label": t("talk.log", { name }) });
  const entries = new Entries(log, peer, (entry) => composer.edit(entry));
  const composer = new Composer(peer, name);
  container.append(
    el("p", {}, el("a", { href: "#talks" }, `← ${t("talk.back")}`)),
    el("section", { class: "card talk", "aria-labelledby": "talk-title" },
      el("div", { class: "app-head" }, el("h1", { tabindex: "-1", id: "talk-title" }, name), status),
      earlier, log, composer.element));

  function update() {
    const talk = openOne();
    fill(status, state.typing.has(peer) ? el("span", {}, t("talk.writing", { name })) : presenceLine(presenceOf(peer)));
    if (!talk || talk.peer !== peer || !talk.isLoaded) return;
    fill(earlier, talk.earlier
      ? button(t("talk.earlier"), () => entries.keepPlace(loadEarlier), { class: "small", "data-key": "earlier" }) : null);
    entries.update(talk);
    markTalkRead().catch(() => {});
  }

  update();
  openTalk(peer).catch((error) => toast(reason(error), { kind: "error" }));
  const seen = () => markTalkRead().catch(() => {});
  document.addEventListener("visibilitychange", seen);
  return {
    update,
    end() {
      document.removeEventListener("visibilitychange", seen);
      composer.end();
      closeTalk();
    },
  };
}

// History

/** The list of entries. An entry that stays as it was stays in its place: a list that is read aloud must not begin anew. */
class Entries {
  #shown = new Map();

  constructor(log, peer, whenEdited) {
    Object.assign(this, { log, peer, whenEdited, list: el("ol", {}) });
    log.append(this.list);
  }

  update(talk) {
    const { log } = this;
    const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < nearPixels;
    const isFirst = this.#shown.size === 0;
    let before = null;
    for (const entry of [...talk.entries.values()].sort((a, b) => a.number - b.number)) {
      const isOwn = entry.from === self();
      const look = JSON.stringify([entry.body, entry.subject, entry.edited, entry.withdrawn, isOwn && stateOf(talk, entry)]);
      let shown = this.#shown.get(entry.number);
      if (shown?.look !== look) {
        const focused = shown?.element.contains(document.activeElement) ? document.activeElement.dataset.key : null;
        const element = this.#item(talk, entry, isOwn);
        if (shown) shown.element.replaceWith(element);
        else if (before) before.after(element);
        else this.list.prepend(element);
        if (focused) element.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
        shown = { look, element };
        this.#shown.set(entry.number, shown);
      }
      before = shown.element;
    }
    if (isFirst || isAtEnd) log.scrollTop = log.scrollHeight;
  }

  /** Runs work that adds entries at the beginning, and leaves what is read where it is. */
  async keepPlace(work) {
    const height = this.log.scrollHeight;
    try {
      await work();
    } catch (error) {
      return toast(reason(error), { kind: "error" });
    }
    // After the page has drawn it.
    await Promise.resolve();
    this.log.scrollTop += this.log.scrollHeight - height;
    this.log.focus({ preventScroll: true });
  }

  #item(talk, entry, isOwn) {
    const author = isOwn ? t("talk.you") : nameOf(this.peer);
    const notes = [moment(entry.at)];
    if (entry.edited && !entry.withdrawn) notes.push(t("talk.edited"));
    if (isOwn && !entry.withdrawn) notes.push(t(`talk.${stateOf(talk, entry)}`));
    return el("li", { class: isOwn ? "own" : "theirs", "data-number": entry.number },
      el("p", { class: "author" }, author),
      entry.withdrawn
        ? el("p", { class: "quiet" }, t("talk.withdrawn"))
        : [
          entry.subject ? el("p", { class: "subject" }, entry.subject) : null,
          el("p", { class: "text" }, entry.body),
          attachments(entry),
        ],
      el("p", { class: "quiet" }, notes.join(" · ")),
      isOwn && !entry.withdrawn ? this.#actions(entry) : null);
  }

  #actions(entry) {
    const text = entry.body.slice(0, 40);
    return el("div", { class: "actions" },
      button(t("talk.edit"), () => this.whenEdited(entry),
        { class: "small quiet", "data-key": `edit-${entry.number}`, "aria-label": t("talk.editOf", { text }) }),
      button(t("talk.withdraw"), async () => {
        if (!(await confirm(t("talk.withdraw.ask"), t("talk.withdraw"), t("cancel")))) return;
        try {
          await withdraw(entry);
        } catch (error) {
          toast(reason(error), { kind: "error" });
        }
      }, { class: "small quiet", "data-key": `withdraw-${entry.number}`, "aria-label": t("talk.withdrawOf", { text }) }));
  }
}

function attachments({ attachments: files = [] }) {
  const known = files.filter(({ url }) => url.startsWith("https://"));
  if (known.length === 0) return null;
  return el("ul", { class: "files", role: "list" }, known.map(({ url, name }) => el("li", {},
    el("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, name ?? new URL(url).hostname))));
}

// Writing

class Composer {
  #editing = null;
  #id = null;
  #pause = null;

  constructor(peer, name) {
    this.peer = peer;
    this.text = el("textarea", {
      id: "compose", name: "compose", rows: "2", maxlength: longest, "aria-describedby": "compose-hint",
    });
    this.fault = el("p", { class: "fault", role: "alert" });
    this.files = new Attachments(() => { this.#id = null; }, (words) => { this.fault.textContent = words; });
    this.files.show(canAttach());
    this.submit = el("button", { type: "submit", class: "primary" }, t("talk.send"));
    this.stop = button(t("cancel"), () => this.#leave(), { class: "quiet", hidden: true });
    this.label = el("label", { for: "compose" }, t("talk.message", { name }));
    this.name = name;
    this.element = el("form", { method: "post", class: "compose" },
      el("div", { class: "field" }, this.label, this.text,
        el("span", { class: "hint", id: "compose-hint" }, t("talk.hint"))),
      this.files.element, this.fault, el("div", { class: "actions" }, this.submit, this.stop, this.files.open));
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    this.text.addEventListener("keydown", (event) => this.#key(event));
    this.text.addEventListener("input", () => this.#typed());
    this.text.addEventListener("blur", () => typing(this.peer, "paused"));
  }

  /** Takes an entry to be changed. */
  edit(entry) {
    this.#editing = entry;
    this.text.value = entry.body;
    this.label.textContent = t("talk.editing");
    this.submit.textContent = t("talk.save");
    this.stop.hidden = false;
    // Only the text can be changed.
    this.files.show(false);
    this.text.focus();
  }

  end() {
    clearTimeout(this.#pause);
    typing(this.peer, "paused");
  }

  #key(event) {
    if (event.key === "Escape" && this.#editing) this.#leave();
    // While characters are being put together (Chinese), Enter takes them.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.#send();
  }

  #typed() {
    clearTimeout(this.#pause);
    if (this.#editing) return;
    // Something else than was tried: another message.
    this.#id = null;
    typing(this.peer, this.text.value.trim() ? "composing" : "paused");
    this.#pause = setTimeout(() => typing(this.peer, "paused"), pauseMilliseconds);
  }

  #leave() {
    this.#editing = null;
    this.text.value = "";
    this.label.textContent = t("talk.message", { name: this.name });
    this.submit.textContent = t("talk.send");
    this.stop.hidden = true;
    this.files.show(canAttach());
    this.text.focus();
  }

  #send() {
    const body = this.text.value.trim();
    if (!body && (this.#editing || this.files.isEmpty)) return;
    busy(this.submit, async () => {
      this.fault.textContent = "";
      try {
        if (this.#editing) {
          await edit(this.#editing, body);
        } else {
          // Tried again after a lost answer it is the same message.
          const attachments = await this.files.upload();
          this.#id ??= crypto.randomUUID();
          await send(this.peer, body, attachments, this.#id);
          this.files.clear();
        }
        this.#id = null;
        clearTimeout(this.#pause);
        typing(this.peer, "paused");
        // What was typed meanwhile stays.
        if (this.#editing || this.text.value.trim() === body) this.#leave();
      } catch (error) {
        this.fault.textContent = error.words ?? reason(error);
      }
    });
  }
}
