import { avatar } from "./avatar.js";
import { el, part } from "./dom.js";
import { RovingFocus } from "./roving_focus.js";

/** The room and the people one speaks with, as a list of buttons. Event: `pick` with the conversation. */
export class ConversationPanel extends EventTarget {
  #list;
  #texts;
  #roving;
  #rows = new Map();

  constructor(root, { texts }) {
    super();
    this.#list = part(root, "conversations");
    this.#texts = texts;
    this.#roving = new RovingFocus(this.#list);
  }

  /** Show the conversations; `isPresent` tells whether somebody is here. */
  render({ conversations, current, isPresent }) {
    let cursor = this.#list.firstChild;
    for (const conversation of conversations) {
      const row = this.#row(conversation);
      if (row === cursor) cursor = cursor.nextSibling;
      else this.#list.insertBefore(row, cursor);
      this.#update(row.firstChild, conversation, conversation === current, isPresent);
    }
    this.#roving.refresh();
  }

  #row(conversation) {
    if (!this.#rows.has(conversation)) this.#rows.set(conversation, this.#makeRow(conversation));
    return this.#rows.get(conversation);
  }

  #makeRow(conversation) {
    const { key, person } = conversation;
    const name = person?.username ?? this.#texts.get("room");
    const hash = el("span", { class: "fc-row__room", text: "#", "aria-hidden": "true" });
    const mark = person ? avatar(name, { small: true }) : hash;
    const button = el(
      "button",
      { type: "button", class: "fc-row", title: name, tabindex: -1, data: { testid: "conversation-item", key } },
      el("span", { class: "fc-row__avatar" }, mark, person ? el("span", { class: "fc-presence" }) : null),
      el("bdi", { class: "fc-row__name", text: name }),
      el("span", { class: "fc-badge", "aria-hidden": "true", data: { testid: "unread" } }),
    );
    button.addEventListener("click", () => this.dispatchEvent(new CustomEvent("pick", { detail: conversation })));
    return el("li", {}, button);
  }

  #update(button, { person, unread }, isCurrent, isPresent) {
    const badge = button.lastChild;
    badge.hidden = !unread;
    badge.textContent = this.#texts.badge(unread);
    button.classList.toggle("fc-row--current", isCurrent);
    button.classList.toggle("fc-row--unread", unread > 0);
    if (isCurrent) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
    const label = [button.title];
    if (person) {
      button.classList.toggle("fc-row--absent", !isPresent(person));
      label.push(this.#texts.get(isPresent(person) ? "present" : "absent"));
    }
    if (unread) label.push(this.#texts.count("unread", unread));
    button.setAttribute("aria-label", label.join(", "));
  }
}
