import { part } from "./dom.js";
import { Menu } from "./menu.js";

const ITEMS = ["copy", "about", "invite", "leave"];

/** What can be done with the room that is shown. Events: `copy`, `about`, `invite`, `leave`. */
export class RoomMenu extends EventTarget {
  #details;
  #items;

  constructor(root) {
    super();
    this.#details = part(root, "room-menu");
    this.#items = Object.fromEntries(ITEMS.map((name) => [name, part(root, `menu-${name}`)]));
    const menu = new Menu(this.#details);
    for (const [name, item] of Object.entries(this.#items)) {
      item.addEventListener("click", () => {
        menu.close();
        this.#details.querySelector("summary").focus();
        this.dispatchEvent(new CustomEvent(name));
      });
    }
  }

  /** Offer what is possible there. */
  render({ kind, administers, isRoom, isMember }, isLobby) {
    this.#items.about.hidden = !administers;
    this.#items.invite.hidden = !(administers && kind === "private");
    this.#items.leave.hidden = !isRoom || !isMember || isLobby;
  }
}
