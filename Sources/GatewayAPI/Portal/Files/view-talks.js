// Conversations and contacts, with who is there, and the own status.

import { busy, button, choice, confirm, el, field, fill, toast } from "./dom.js";
import { state } from "./state.js";
import { addContact, nameOf, presenceOf, removeContact, setBlocked, setStatus, talks } from "./talks.js";
import { moment, reason, t } from "./words.js";

const previewLength = 80;
const words = ["online", "busy", "away", "lunch", "invisible"];

/** Where a conversation is shown. */
export function talkAddress(peer) { return `#talk/${encodeURIComponent(peer)}`; }

/** Draws the view; returns what draws it anew after a change. */
export function drawTalks(container) {
  const conversations = el("ul", { class: "rows talks", role: "list" });
  const contacts = el("ul", { class: "rows", role: "list" });
  const status = statusCard();
  container.append(
    el("h1", { tabindex: "-1" }, t("talks")),
    el("section", { class: "card", "aria-label": t("talks") }, conversations,
      nameForm("write-to", t("talks.writeTo"), t("talks.write"), (name) => {
        location.hash = talkAddress(`account/${name}`);
      })),
    el("section", { class: "card", "aria-labelledby": "contacts-title" },
      el("h2", { id: "contacts-title" }, t("contacts")), contacts,
      nameForm("add-contact", t("contacts.name"), t("contacts.add"), addContact)),
    status.element);

  function update() {
    const all = talks();
    fill(conversations, all.length > 0 ? all.map(row) : el("li", {}, t("talks.none")));
    const people = [...state.contacts.values()]
      .sort((a, b) => rank(a) - rank(b) || a.account.localeCompare(b.account));
    fill(contacts, people.length > 0 ? people.map(contactRow) : el("li", {}, t("contacts.none")));
    status.update();
  }

  update();
  return update;
}

/** Those that wait for an answer come first. */
function rank({ state: standing }) { return ["asking", "contact", "asked"].indexOf(standing); }

/** How somebody is, in a dot for the eye and a word for everyone. */
export function presenceLine(contact) {
  if (!contact) return null;
  const seen = contact.status === "offline" && contact.lastSeen;
  return el("span", { class: `presence ${contact.status}` },
    el("span", { class: "dot", "aria-hidden": "true" }),
    seen ? t("status.lastSeen", { time: moment(contact.lastSeen) }) : t(`status.${contact.status}`),
    contact.text ? `: ${contact.text}` : null);
}

function row({ peer, unread, last }) {
  const name = nameOf(peer);
  const isWriting = state.typing.has(peer);
  const preview = last?.withdrawn ? t("talk.withdrawn") : (last?.body || last?.subject || "").slice(0, previewLength);
  const own = last && last.from !== peer;
  return el("li", {},
    el("div", {},
      el("h2", {}, el("a", { href: talkAddress(peer), "data-key": `talk-${peer}` }, name),
        unread > 0 ? el("span", { class: "badge" }, t("talks.unread", { count: unread >= 1000 ? "999+" : unread })) : null),
      el("p", { class: "preview" }, isWriting ? t("talk.writing", { name }) : own ? t("talks.own", { text: preview }) : preview)),
    el("p", { class: "quiet" }, presenceLine(presenceOf(peer)), last ? el("span", {}, moment(last.at)) : null));
}

function contactRow(contact) {
  const { account, state: standing, blocked, kind } = contact;
  const does = (work) => async () => {
    try {
      await work();
    } catch (error) {
      toast(reason(error), { kind: "error" });
    }
  };
  const remove = async (question, yes) => {
    if (await confirm(t(question, { name: account }), t(yes), t("cancel"))) await removeContact(account);
  };
  const actions = standing === "asking"
    ? [
      button(t("contacts.agree"), does(() => addContact(account)),
        { class: "small primary", "data-key": `agree-${account}`, "aria-label": t("contacts.agreeTo", { name: account }) }),
      button(t("contacts.decline"), does(() => removeContact(account)),
        { class: "small", "data-key": `decline-${account}`, "aria-label": t("contacts.declineOf", { name: account }) }),
    ]
    : [
      button(t("contacts.remove"), does(() => remove("contacts.remove.ask", "contacts.remove")),
        { class: "small", "data-key": `remove-${account}`, "aria-label": t("contacts.removeOf", { name: account }) }),
    ];
  actions.push(button(t(blocked ? "contacts.unblock" : "contacts.block"), does(() => setBlocked(account, !blocked)), {
    class: "small", "data-key": `block-${account}`,
    "aria-label": t(blocked ? "contacts.unblockOf" : "contacts.blockOf", { name: account }),
  }));
  return el("li", {},
    el("div", {},
      el("h3", {}, el("a", { href: talkAddress(`account/${account}`), "data-key": `contact-${account}` }, account),
        kind && kind !== "person" ? el("span", { class: "badge calm" }, t(`kind.${kind}`)) : null,
        blocked ? el("span", { class: "badge calm" }, t("contacts.blocked")) : null),
      el("p", { class: "quiet" }, standing !== "contact" ? t(`contacts.${standing}`)
        : state.typing.has(`account/${account}`) ? t("talk.writing", { name: account }) : presenceLine(contact))),
    el("div", { class: "actions" }, actions));
}

/** A form of one name. */
function nameForm(id, label, text, work) {
  const name = el("input", {
    id, name: id, required: true, maxlength: 128, autocapitalize: "none", spellcheck: "false", autocomplete: "off",
  });
  const fault = el("p", { class: "fault", role: "alert" });
  const submit = el("button", { type: "submit" }, text);
  const form = el("form", { method: "post", class: "inline" }, field(label, name), submit, fault);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(submit, async () => {
      fault.textContent = "";
      try {
        await work(name.value.trim());
        name.value = "";
      } catch (error) {
        fault.textContent = reason(error);
      }
    });
  });
  return form;
}

// The own status

function statusCard() {
  const word = choice(words.map((key) => [key, t(`status.${key}`)]), state.status?.status ?? "online", { name: "status" });
  const text = el("input", { name: "status-text", maxlength: 100, autocomplete: "off" });
  const flags = ["showLastSeen", "fromSessions", "tellApps"].map((name) => [name, el("input", { type: "checkbox", id: name, name })]);
  const submit = el("button", { type: "submit", class: "primary" }, t("status.save"));
  const fault = el("p", { class: "fault", role: "alert" });
  const form = el("form", { method: "post", id: "status" },
    field(t("status.label"), word), field(t("status.text"), text),
    flags.map(([name, box]) => el("div", { class: "check" }, box, el("label", { for: name }, t(`status.${name}`)))),
    fault, el("div", { class: "actions" }, submit));
  let shown = null;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(submit, async () => {
      fault.textContent = "";
      try {
        await setStatus({
          status: word.value, text: text.value.trim(), ...Object.fromEntries(flags.map(([name, box]) => [name, box.checked])),
        });
        toast(t("app.saved"));
      } catch (error) {
        fault.textContent = reason(error);
      }
    });
  });
  return {
    element: el("section", { class: "card", "aria-labelledby": "status-title" },
      el("h2", { id: "status-title" }, t("status.own")), form),
    /** Shows what holds, unless that was shown: what is being filled in stays. */
    update() {
      const key = JSON.stringify(state.status);
      if (!state.status || key === shown) return;
      shown = key;
      word.value = state.status.status;
      text.value = state.status.text ?? "";
      for (const [name, box] of flags) box.checked = state.status[name];
    },
  };
}
