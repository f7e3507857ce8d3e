// Files that go with a message: chosen, looked at, put where the gateway's operator keeps such files, sent by reference.

import { button, el, fill } from "./dom.js";
import { state } from "./state.js";
import { size, t } from "./words.js";

const most = 10;
const longestName = 120;

/** Whether there is a place for files. */
export function canAttach() { return Boolean(state.session?.files); }

/** The files of the message that is being written. `changed` hears when there are others; `fault(text)` what is wrong. */
export class Attachments {
  #files = [];

  constructor(changed, fault) {
    Object.assign(this, { changed, fault });
    this.input = el("input", { type: "file", multiple: true, hidden: true, id: "attach-files", onchange: () => this.#chosen() });
    this.list = el("ul", { class: "chosen", role: "list", "aria-label": t("attach.list") });
    this.news = el("span", { class: "hint", role: "status" });
    this.open = el("button", { type: "button", class: "quiet", id: "attach", onclick: () => this.input.click() }, t("attach"));
    this.element = el("div", { class: "attach" }, this.list, this.news, this.input);
  }

  get isEmpty() { return this.#files.length === 0; }

  show(isShown) { for (const element of [this.element, this.open]) element.hidden = !isShown; }

  clear() {
    this.#files = [];
    this.news.textContent = "";
    this.#draw();
  }

  /** Puts the files where they are kept; returns what a message says of them. What was put there stays there when it
   *  is tried again. */
  async upload() {
    for (const item of this.#files.filter(({ url }) => !url)) {
      this.news.textContent = t("attach.uploading", { name: item.file.name });
      try {
        item.url = await put(item.file);
      } catch {
        this.news.textContent = "";
        throw new UploadFault(item.file.name);
      }
    }
    this.news.textContent = "";
    return this.#files.map(({ file, url }) => ({
      url, contentType: typeOf(file), name: file.name.slice(0, longestName), sizeBytes: file.size,
    }));
  }

  #chosen() {
    this.fault("");
    const limit = state.session.files.maxBytes;
    const names = [];
    for (const file of this.input.files) {
      if (file.size > limit) this.fault(t("attach.tooLarge", { name: file.name, size: size(file.size), limit: size(limit) }));
      else if (this.#files.length === most) this.fault(t("attach.tooMany", { count: most }));
      else {
        this.#files.push({ file, url: null });
        names.push(file.name);
      }
    }
    // The same file can be chosen again.
    this.input.value = "";
    this.news.textContent = names.length > 0 ? t("attach.added", { names: names.join(", ") }) : "";
    this.#draw();
    this.changed();
  }

  #draw() {
    fill(this.list, this.#files.map((item) => el("li", {},
      el("span", {}, `${item.file.name} · ${size(item.file.size)}`),
      button(t("attach.remove"), () => this.#remove(item), {
        class: "small quiet", "aria-label": t("attach.removeOf", { name: item.file.name }),
      }))));
  }

  #remove(item) {
    this.#files = this.#files.filter((other) => other !== item);
    this.news.textContent = t("attach.removed", { name: item.file.name });
    this.#draw();
    this.changed();
    this.open.focus();
  }
}

/** A file that did not arrive where files are kept. */
export class UploadFault extends Error {
  constructor(name) {
    super(name);
    this.words = t("attach.failed", { name });
  }
}

function typeOf(file) { return file.type || "application/octet-stream"; }

/** A name that nobody can guess: who knows the address may have the file, unless the place itself asks who it is. */
async function put(file) {
  const name = encodeURIComponent(file.name.slice(0, longestName)).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16)}`);
  const url = `${state.session.files.url}/${crypto.randomUUID()}/${name}`;
  const answer = await fetch(url, {
    method: "PUT", body: file, headers: { "Content-Type": typeOf(file) }, credentials: "include", redirect: "error",
    cache: "no-store",
  });
  if (!answer.ok) throw new Error(String(answer.status));
  return url;
}
