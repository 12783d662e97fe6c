import { avatar } from "./avatar.js";
import { el } from "./dom.js";

/** One room or person in the list, as a button with what is unread there. */
export class ConversationRow {
  #texts;
  #lock;
  #button;
  #mark;
  #name;
  #badge;
  #mentions;
  #title = "";
  #kind = "";

  /** `lock` is a template with the sign of a private room. */
  constructor(conversation, { texts, lock, pick }) {
    this.#texts = texts;
    this.#lock = lock;
    this.#mark = el("span", { class: "fc-row__avatar" });
    this.#name = el("bdi", { class: "fc-row__name" });
    this.#mentions = el("span", { class: "fc-badge fc-badge--mention", "aria-hidden": "true" });
    this.#badge = el("span", { class: "fc-badge", "aria-hidden": "true", data: { testid: "unread" } });
    this.#mentions.dataset.testid = "mentions";
    this.#button = el(
      "button",
      { type: "button", class: "fc-row", tabindex: -1, data: { testid: "conversation-item", key: conversation.name } },
      this.#mark,
      this.#name,
      el("span", { class: "fc-row__marks" }, this.#mentions, this.#badge),
    );
    this.#button.addEventListener("click", pick);
    this.element = el("li", {}, this.#button);
  }

  update(conversation, { title, isCurrent, isPresent }) {
    const { person, unread, mentions, kind } = conversation;
    if (title !== this.#title || kind !== this.#kind) this.#rename(title, kind, person);
    show(this.#badge, unread, this.#texts.badge(unread));
    show(this.#mentions, person ? 0 : mentions, `@${mentions > 1 ? this.#texts.badge(mentions) : ""}`);
    const { classList } = this.#button;
    classList.toggle("fc-row--current", isCurrent);
    classList.toggle("fc-row--unread", unread > 0);
    classList.toggle("fc-row--quiet", !person);
    if (isCurrent) this.#button.setAttribute("aria-current", "true");
    else this.#button.removeAttribute("aria-current");
    if (person) classList.toggle("fc-row--absent", !isPresent);
    this.#button.setAttribute("aria-label", this.#label(title, conversation, isPresent).join(", "));
  }

  #rename(title, kind, person) {
    [this.#title, this.#kind] = [title, kind];
    this.#button.title = title;
    this.#name.textContent = title;
    const sign = kind === "private" ? this.#lock.content.cloneNode(true) : "#";
    const room = [el("span", { class: "fc-row__room", "aria-hidden": "true" }, sign)];
    const presence = person?.deleted ? [] : [el("span", { class: "fc-presence" })];
    const face = () => [avatar(title, { small: true }), ...presence];
    this.#mark.replaceChildren(...(person ? face() : room));
  }

  #label(title, { person, kind, unread, mentions }, isPresent) {
    const label = [title];
    if (person && !person.deleted) label.push(this.#texts.get(isPresent ? "present" : "absent"));
    else if (!person && kind === "private") label.push(this.#texts.get("private_room"));
    if (unread) label.push(this.#texts.count("unread", unread));
    if (mentions && !person) label.push(this.#texts.count("mentioned", mentions));
    return label;
  }
}

function show(badge, count, text) {
  badge.hidden = !count;
  badge.textContent = text;
}
