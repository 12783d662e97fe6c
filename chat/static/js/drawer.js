import { part } from "./dom.js";

/** Where there is little room, the people and conversations are a drawer: this opens and closes it. */
export class Drawer {
  #root;
  #sidebar;
  #room;
  #opener;
  #texts;

  constructor(root, { texts }) {
    this.#root = part(root, "chat");
    this.#sidebar = part(root, "sidebar");
    this.#room = part(root, "room");
    this.#opener = part(root, "open-drawer");
    this.#texts = texts;
    this.#opener.addEventListener("click", () => this.open());
    part(root, "backdrop").addEventListener("click", () => this.close());
    part(root, "close-drawer").addEventListener("click", () => this.close());
    this.#root.addEventListener("keydown", (event) => event.key === "Escape" && this.#escape(event));
    new ResizeObserver(() => this.#refresh()).observe(this.#root);
    this.showUnread(0);
  }

  /** Whether there is so little room that the drawer is one. */
  get #narrow() {
    return this.#opener.checkVisibility();
  }

  get #isOpen() {
    return this.#root.classList.contains("fc-app--drawer");
  }

  open() {
    this.#set(true);
    this.#sidebar.querySelector("[aria-current]")?.focus();
  }

  close({ refocus = true } = {}) {
    if (!this.#isOpen) return;
    this.#set(false);
    if (refocus && this.#narrow) this.#opener.focus();
  }

  /** What is unread elsewhere, and what one is invited to, for the button that leads there. */
  showUnread(count, invitations = 0) {
    const badge = part(this.#opener, "drawer-badge");
    badge.hidden = !count && !invitations;
    badge.textContent = this.#texts.badge(count + invitations);
    const label = [count ? this.#texts.count("open_menu", count) : this.#texts.get("open_menu")];
    if (invitations) label.push(this.#texts.count("invitations", invitations));
    this.#opener.setAttribute("aria-label", label.join(", "));
  }

  #set(open) {
    this.#root.classList.toggle("fc-app--drawer", open);
    this.#opener.setAttribute("aria-expanded", String(open));
    this.#refresh();
  }

  /** What the drawer covers, and a closed drawer, are out of reach of keys and screen readers. */
  #refresh() {
    this.#sidebar.inert = this.#narrow && !this.#isOpen;
    this.#room.inert = this.#narrow && this.#isOpen;
  }

  #escape(event) {
    if (!this.#isOpen) return;
    event.stopPropagation();
    this.close();
  }
}
