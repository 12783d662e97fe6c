import { avatar } from "./avatar.js";
import { el } from "./dom.js";

/** One person in the list of a room's people: a button that leads to a conversation, and one to administer them. */
export class PersonRow {
  #texts;
  #person;
  #isMe;
  #button;
  #role;
  #manage;
  #badge;
  #shown = "";

  constructor(person, { texts, isMe, pick, manage }) {
    this.#texts = texts;
    this.#person = person;
    this.#isMe = isMe;
    this.#role = el("span", { class: "fc-row__hint" });
    this.#badge = el("span", { class: "fc-badge", "aria-hidden": "true", data: { testid: "unread" } });
    this.#button = this.#makeButton(pick);
    this.#manage = this.#makeManage(manage);
    this.element = el("li", { class: "fc-person" }, this.#button, this.#manage);
  }

  update({ role, unread, isPresent, isManaged }) {
    const shown = [role, unread, isPresent, isManaged].join();
    if (shown === this.#shown) return;
    this.#shown = shown;
    const words = [this.#isMe && this.#texts.get("self"), this.#roleName(role)].filter(Boolean);
    this.#role.textContent = words.join(" · ");
    this.#badge.hidden = !unread;
    this.#badge.textContent = this.#texts.badge(unread);
    this.#manage.hidden = !isManaged;
    this.#button.classList.toggle("fc-row--absent", !isPresent);
    const label = [this.#person.username, this.#texts.get(isPresent ? "present" : "absent")];
    if (this.#roleName(role)) label.push(this.#roleName(role));
    if (unread) label.push(this.#texts.count("unread", unread));
    this.#button.setAttribute("aria-label", label.join(", "));
  }

  #roleName(role) {
    return role === "owner" || role === "admin" ? this.#texts.get(`role_${role}`) : "";
  }

  #makeButton(pick) {
    const { id, username } = this.#person;
    const marks = { testid: "roster-item", userId: id };
    const face = avatar(username, { small: true });
    const button = el(
      "button",
      { type: "button", class: "fc-row", title: username, tabindex: -1, data: marks },
      el("span", { class: "fc-row__avatar" }, face, el("span", { class: "fc-presence" })),
      el("bdi", { class: "fc-row__name", text: username }),
      this.#role,
      el("span", { class: "fc-row__marks" }, this.#badge),
    );
    button.addEventListener("click", pick);
    return button;
  }

  #makeManage(manage) {
    const label = this.#texts.get("manage", { name: this.#person.username });
    const attributes = { type: "button", class: "fc-icon-button fc-person__manage", "aria-label": label, title: label };
    const button = el(
      "button",
      { ...attributes, tabindex: -1, hidden: "" },
      el("span", { text: "⋯", "aria-hidden": "true" }),
    );
    button.addEventListener("click", manage);
    return button;
  }
}
