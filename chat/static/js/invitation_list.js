import { el, part } from "./dom.js";

/**
 * The rooms that one is invited to, above those that one is in; each with a button for yes and one for no.
 *
 * Events: `accept` and `decline` with the invitation.
 */
export class InvitationList extends EventTarget {
  #section;
  #count;
  #list;
  #lock;
  #texts;
  /** @type {Map<string, {element: any, shown: string}>} */
  #rows = new Map();

  constructor(root, { texts }) {
    super();
    this.#section = part(root, "invitations-section");
    this.#count = part(root, "invitations-count");
    this.#list = part(root, "invitations");
    this.#lock = part(root, "lock");
    this.#texts = texts;
  }

  /** @param {import("./types").Invitation[]} invitations */
  render(invitations) {
    const focused = this.#focusedAt;
    const rows = new Map();
    for (const invitation of invitations) rows.set(invitation.room, this.#rowOf(invitation));
    const wanted = [...rows.values()].map(({ element }) => element);
    const isSame =
      wanted.length === this.#list.children.length && wanted.every((one, i) => one === this.#list.children[i]);
    this.#rows = rows;
    if (!isSame) this.#list.replaceChildren(...wanted);
    this.#section.hidden = !wanted.length;
    this.#count.textContent = this.#texts.number(wanted.length);
    if (!isSame && focused) this.#refocus(focused);
  }

  /** Where the focus is in the list: the row's number, and what its button does; null while it is elsewhere. */
  get #focusedAt() {
    const active = this.#list.getRootNode().activeElement;
    const at = [...this.#list.children].findIndex((row) => row.contains(active));
    return at < 0 ? null : { at, room: active.dataset.room, act: active.dataset.act };
  }

  /** Rows came or went: stay on the same button, or go to the next row's; after the last one, to the first room. */
  #refocus({ at, room, act }) {
    const stays = this.#rows.get(room)?.element;
    const row = stays ?? this.#list.children[Math.min(at, this.#list.children.length - 1)];
    const next = row?.querySelector(`[data-act="${act}"]`) ?? this.#section.parentNode.querySelector("[aria-current]");
    next?.focus();
  }

  #rowOf(invitation) {
    const shown = JSON.stringify(invitation);
    const known = this.#rows.get(invitation.room);
    return known?.shown === shown ? known : { element: this.#row(invitation), shown };
  }

  #row(invitation) {
    const { title, kind, inviter } = invitation;
    const by = this.#texts.get("invited_you", { name: inviter.username });
    const sign = kind === "private" ? this.#lock.content.cloneNode(true) : "#";
    return el(
      "li",
      { class: "fc-invitation", data: { testid: "invitation" } },
      el(
        "div",
        { class: "fc-invitation__what", title: this.#texts.get("invited_by", { name: inviter.username, room: title }) },
        el("span", { class: "fc-row__room", "aria-hidden": "true" }, sign),
        el(
          "div",
          { class: "fc-row__lines" },
          el("bdi", { class: "fc-invitation__title", text: title }),
          el("span", { class: "fc-row__topic", dir: "auto", text: by }),
        ),
      ),
      el(
        "div",
        { class: "fc-invitation__answers" },
        this.#button("accept", invitation, "fc-button fc-button--small fc-button--main"),
        this.#button("decline", invitation, "fc-button fc-button--small"),
      ),
    );
  }

  #button(act, invitation, classes) {
    const { title, room, inviter } = invitation;
    const label = this.#texts.get(`${act}_invitation`, { room: title, name: inviter.username });
    const attributes = { type: "button", class: classes, "aria-label": label, data: { act, room, testid: act } };
    const button = el("button", { ...attributes, text: this.#texts.get(act) });
    button.addEventListener("click", () => this.dispatchEvent(new CustomEvent(act, { detail: invitation })));
    return button;
  }
}
