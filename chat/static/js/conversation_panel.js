import { ConversationRow } from "./conversation_row.js";
import { part } from "./dom.js";
import { RovingFocus } from "./roving_focus.js";

/** From so many on, the list can be filtered. */
const FILTER_FROM = 10;

/**
 * The rooms and people one speaks with, as two lists of buttons that can be narrowed down.
 *
 * Events: `pick` with the conversation, `reload` for another try at the list, `filter` when it is to be drawn anew.
 */
export class ConversationPanel extends EventTarget {
  #lists;
  #tools;
  #filter;
  #unreadOnly;
  #note;
  #peopleNote;
  #skeleton;
  #failure;
  #lock;
  #texts;
  #roving;
  #rows = new Map();

  constructor(root, { texts }) {
    super();
    this.#lists = { rooms: part(root, "rooms"), people: part(root, "people") };
    this.#tools = part(root, "list-tools");
    this.#filter = part(root, "list-filter");
    this.#unreadOnly = part(root, "list-unread");
    this.#note = part(root, "list-note");
    this.#peopleNote = part(root, "people-note");
    this.#skeleton = part(root, "list-skeleton");
    this.#failure = part(root, "list-failure");
    this.#lock = part(root, "lock");
    this.#texts = texts;
    this.#roving = Object.values(this.#lists).map((list) => new RovingFocus(list));
    this.#filter.addEventListener("input", () => this.#emit("filter"));
    this.#filter.addEventListener("keydown", (event) => this.#key(event));
    this.#unreadOnly.addEventListener("click", () => this.#toggleUnread());
    part(root, "list-again").addEventListener("click", () => this.#emit("reload"));
  }

  /** `describe` gives {title, isPresent} of a conversation; `failure` is why the list could not be had, or null. */
  render({ rooms, people, current, describe, known, failure }) {
    const rows = new Map();
    const all = rooms.length + people.length;
    this.#tools.hidden = all < FILTER_FROM && !this.#isNarrowed;
    const found =
      this.#place("rooms", rooms, rows, current, describe) + this.#place("people", people, rows, current, describe);
    this.#rows = rows;
    this.#skeleton.hidden = known || Boolean(failure);
    this.#failure.hidden = known || !failure;
    this.#failure.firstElementChild.textContent = failure ?? "";
    this.#note.hidden = found > 0 || !this.#isNarrowed;
    this.#peopleNote.hidden = !known || people.length > 0 || this.#isNarrowed;
    for (const roving of this.#roving) roving.refresh();
  }

  get #isNarrowed() {
    return Boolean(this.#filter.value.trim()) || this.#onlyUnread;
  }

  get #onlyUnread() {
    return this.#unreadOnly.getAttribute("aria-pressed") === "true";
  }

  /** Put the rows of one list in their order, moving only those that stand elsewhere. Returns how many there are. */
  #place(name, conversations, rows, current, describe) {
    const list = this.#lists[name];
    let cursor = list.firstChild;
    let count = 0;
    for (const conversation of conversations) {
      const isCurrent = conversation === current;
      const described = { ...describe(conversation), isCurrent };
      if (!this.#isWanted(conversation, described)) continue;
      const row = this.#rows.get(conversation) ?? this.#makeRow(conversation);
      rows.set(conversation, row);
      row.update(conversation, described);
      if (row.element === cursor) cursor = cursor.nextSibling;
      else list.insertBefore(row.element, cursor);
      count++;
    }
    while (cursor) {
      const next = cursor.nextSibling;
      cursor.remove();
      cursor = next;
    }
    return count;
  }

  #isWanted({ unread }, { title, isCurrent }) {
    if (this.#onlyUnread && !unread && !isCurrent) return false;
    return title.toLocaleLowerCase().includes(this.#filter.value.trim().toLocaleLowerCase());
  }

  #makeRow(conversation) {
    const pick = () => this.#emit("pick", conversation);
    return new ConversationRow(conversation, { texts: this.#texts, lock: this.#lock, pick });
  }

  /** From the filter, Enter opens the first that is found and the arrow leads into the list. */
  #key(event) {
    const first = this.#lists.rooms.querySelector("button") ?? this.#lists.people.querySelector("button");
    if (event.isComposing || !first) return;
    if (event.key === "Enter") first.click();
    else if (event.key === "ArrowDown") first.focus();
    else return;
    event.preventDefault();
    if (event.key !== "Enter") return;
    this.#filter.value = "";
    this.#emit("filter");
  }

  #toggleUnread() {
    this.#unreadOnly.setAttribute("aria-pressed", String(!this.#onlyUnread));
    this.#emit("filter");
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
