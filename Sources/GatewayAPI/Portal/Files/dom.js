// Builds elements. Text is always set as text, never as markup.

/** An element: `el("p", { class: "note" }, "Hello", child)`. Handlers are given as `onclick` and so on. */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "value") element.value = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const filled = new WeakMap();

/** Replaces the content where it looks different now: an element that is just being pressed must stay. Leaves the
 *  focus where it was: on the element of the same `data-key`. */
export function fill(container, ...children) {
  const nodes = children.flat(Infinity).filter(Boolean);
  const look = nodes.map((node) => node.outerHTML ?? node).join("\n");
  if (filled.get(container) === look) return;
  filled.set(container, look);
  const focused = container.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  container.replaceChildren(...nodes);
  if (focused) container.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

let fieldNumber = 0;

/** A label with its field, and what is said of it below. */
export function field(label, control, hint) {
  control.id ||= `field-${(fieldNumber += 1)}`;
  const note = hint ? el("span", { class: "hint", id: `${control.id}-hint` }, hint) : null;
  if (note) control.setAttribute("aria-describedby", note.id);
  return el("div", { class: "field" }, el("label", { for: control.id }, label), control, note);
}

/** A drop-down of `[value, text]` pairs. */
export function choice(options, value, attributes = {}) {
  const select = el("select", attributes,
    options.map(([key, text]) => el("option", { value: key, selected: key === value }, text)));
  select.value = value;
  return select;
}

/** A button that cannot be pressed again while its work is under way. */
export function button(text, work, attributes = {}) {
  const element = el("button", { type: "button", ...attributes }, text);
  element.addEventListener("click", () => busy(element, work));
  return element;
}

/** Runs work with the element marked as busy. */
export async function busy(element, work) {
  if (element.getAttribute("aria-busy") === "true") return;
  element.setAttribute("aria-busy", "true");
  try {
    await work();
  } finally {
    element.removeAttribute("aria-busy");
  }
}

const toastsLimit = 3;

/** Says something for a moment. An `action` is `[text, handler]`. */
export function toast(text, { kind = "info", action, seconds = 8 } = {}) {
  const note = el("div", { class: `toast ${kind}` }, el("span", {}, text));
  const close = () => note.remove();
  if (action) note.append(el("button", { type: "button", onclick: () => { close(); action[1](); } }, action[0]));
  const toasts = document.getElementById("toasts");
  while (toasts.children.length >= toastsLimit) toasts.firstChild.remove();
  toasts.append(note);
  setTimeout(close, seconds * 1000);
  return close;
}

/** Asks before something that cannot be undone; resolves with the answer. */
export function confirm(question, yes, no) {
  return new Promise((resolve) => {
    const dialog = el("dialog", { "aria-labelledby": "question" },
      el("p", { id: "question" }, question),
      el("form", { method: "dialog", class: "actions" },
        el("button", { value: "no", class: "quiet" }, no), el("button", { value: "yes", class: "danger" }, yes)));
    dialog.addEventListener("close", () => { dialog.remove(); resolve(dialog.returnValue === "yes"); });
    document.body.append(dialog);
    dialog.showModal();
  });
}
