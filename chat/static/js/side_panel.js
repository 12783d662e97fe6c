import { part } from "./dom.js";
import { Kept } from "./kept.js";

/** From this width of the whole chat on, the people stand beside the log without being asked for. */
const WIDE = 1_200;

/**
 * What stands beside the log, or over it where there is little room: the people of a room, or a search.
 *
 * Where it lies over the log it is a drawer: the rest is out of reach, and Escape closes it. Event: `view` with the name
 * of what is shown now ("people", "search"), or null.
 */
export class SidePanel extends EventTarget {
  #root;
  #panel;
  #views;
  #openers;
  #others;
  #kept;
  #view = null;
  /** What a search was opened over. */
  #beneath = null;
  #wasBeside = false;

  constructor(root, { userId, remembers }) {
    super();
    this.#root = part(root, "chat");
    this.#panel = part(root, "side");
    this.#views = { people: part(root, "side-people"), search: part(root, "side-search") };
    this.#openers = { people: part(root, "open-people"), search: part(root, "open-search") };
    // Not the two themselves: those the drawer puts out of reach and back.
    this.#others = ["room", "sidebar"].flatMap((name) => [...part(root, name).children]);
    this.#kept = remembers ? new Kept("localStorage", `chat:${userId}:side:`) : null;
    for (const [name, opener] of Object.entries(this.#openers)) {
      opener.addEventListener("click", () => (this.#view === name ? this.close() : this.open(name)));
    }
    part(root, "side-close").addEventListener("click", () => this.close());
    part(root, "backdrop").addEventListener("click", () => this.close());
    this.#root.addEventListener("keydown", (event) => event.key === "Escape" && this.#escape(event));
    new ResizeObserver(() => this.#resized()).observe(this.#root);
  }

  get view() {
    return this.#view;
  }

  /** Whether it stands beside the log, not over it. */
  get isBeside() {
    return getComputedStyle(this.#panel).position !== "absolute";
  }

  open(name) {
    this.#beneath = this.#view;
    this.#remember(name);
    this.#show(name);
    this.#panel.querySelector("[data-focus]:not([hidden] *)")?.focus();
  }

  close({ refocus = true } = {}) {
    if (!this.#view) return;
    const opener = this.#openers[this.#view];
    const beneath = this.#view === "search" && this.isBeside ? this.#beneath : null;
    this.#remember(beneath);
    this.#show(beneath);
    if (refocus) opener.focus();
  }

  /** The reader goes somewhere: what lies over it makes way. */
  makeWay() {
    if (this.#view && !this.isBeside) this.#show(null);
  }

  #show(name) {
    const changed = name !== this.#view;
    this.#view = name;
    this.#panel.hidden = !name;
    for (const [key, view] of Object.entries(this.#views)) view.hidden = key !== name;
    for (const [key, opener] of Object.entries(this.#openers)) {
      opener.setAttribute("aria-expanded", String(key === name));
    }
    const over = Boolean(name) && !this.isBeside;
    this.#root.classList.toggle("fc-app--side", over);
    if (changed) {
      for (const other of this.#others) other.inert = over;
      this.dispatchEvent(new CustomEvent("view", { detail: name }));
    }
  }

  /** Beside the log it is as the reader left it; over the log it is only when asked for. */
  #resized() {
    const { isBeside } = this;
    const wide = this.#root.clientWidth >= WIDE;
    if (isBeside && !this.#wasBeside) this.#show(this.#view ?? (wide ? this.#remembered : null));
    else if (!isBeside && this.#wasBeside) this.#show(null);
    else if (isBeside && wide && !this.#view && this.#remembered) this.#show(this.#remembered);
    this.#wasBeside = isBeside;
  }

  get #remembered() {
    return !this.#kept || this.#kept.get("closed") ? null : "people";
  }

  #remember(name) {
    if (this.isBeside) this.#kept?.set("closed", name === null);
  }

  #escape(event) {
    if (!this.#view || (this.isBeside && !this.#panel.contains(event.target))) return;
    event.stopPropagation();
    this.close();
  }
}
