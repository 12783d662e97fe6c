import { avatar } from "./avatar.js";
import { el, part } from "./dom.js";
import { RovingFocus } from "./roving_focus.js";

/** Names shown at once; the filter finds the rest. */
const SHOWN = 150;
const FILTER_FROM = 12;

/** Who is here, as a list of buttons; picking one opens a conversation. Event: `pick` with the person. */
export class RosterPanel extends EventTarget {
  #list;
  #count;
  #filter;
  #note;
  #texts;
  #me;
  #roving;
  #rows = new Map();

  constructor(root, { texts, me, changed }) {
    super();
    this.#list = part(root, "roster");
    this.#count = part(root, "people-count");
    this.#filter = part(root, "filter");
    this.#note = part(root, "roster-note");
    this.#texts = texts;
    this.#me = me;
    this.#roving = new RovingFocus(this.#list);
    this.#filter.addEventListener("input", changed);
  }

  /** Show the roster; `unreadOf` tells what is unread from somebody. */
  render({ people, unreadOf }) {
    const found = this.#matching(people);
    this.#count.textContent = people.length ? this.#texts.number(people.length) : "";
    this.#filter.hidden = people.length < FILTER_FROM && !this.#filter.value;
    this.#placeRows(found.slice(0, SHOWN), unreadOf);
    this.#showNote(people, found);
    this.#roving.refresh();
  }

  /** Ourselves first, then the rest as they come, of whom the filter leaves some. */
  #matching(people) {
    const wanted = this.#filter.value.trim().toLocaleLowerCase();
    const mine = people.filter(({ id }) => id === this.#me.id);
    const rest = people.filter(({ id }) => id !== this.#me.id);
    const all = [...mine, ...rest];
    return wanted ? all.filter(({ username }) => username.toLocaleLowerCase().includes(wanted)) : all;
  }

  #placeRows(people, unreadOf) {
    const rows = new Map();
    let cursor = this.#list.firstChild;
    for (const person of people) {
      const row = this.#rows.get(person.id) ?? this.#makeRow(person);
      rows.set(person.id, row);
      row.update(unreadOf(person));
      if (row.element === cursor) cursor = cursor.nextSibling;
      else this.#list.insertBefore(row.element, cursor);
    }
    for (const [id, row] of this.#rows) if (!rows.has(id)) row.element.remove();
    this.#rows = rows;
  }

  #makeRow(person) {
    return new RosterRow(person, this.#texts, person.id === this.#me.id, () => this.#pick(person));
  }

  #showNote(people, found) {
    const alone = !people.some(({ id }) => id !== this.#me.id);
    const more = found.length - SHOWN;
    this.#note.hidden = false;
    if (more > 0) this.#note.textContent = this.#texts.count("more", more);
    else if (this.#filter.value && !found.length) this.#note.textContent = this.#texts.get("no_match");
    else if (alone && !this.#filter.value) this.#note.textContent = this.#texts.get("nobody");
    else this.#note.hidden = true;
  }

  #pick(person) {
    this.dispatchEvent(new CustomEvent("pick", { detail: person }));
  }
}

/** One person's row. */
class RosterRow {
  #texts;
  #person;
  #badge;
  #shown = null;

  constructor(person, texts, isMe, pick) {
    this.#texts = texts;
    this.#person = person;
    this.#badge = el("span", { class: "fc-badge", "aria-hidden": "true", data: { testid: "unread" } });
    const marks = { testid: "roster-item", userId: person.id };
    const face = avatar(person.username, { small: true });
    this.button = el(
      "button",
      { type: "button", class: "fc-row", title: person.username, tabindex: -1, data: marks },
      el("span", { class: "fc-row__avatar" }, face, el("span", { class: "fc-presence" })),
      el("bdi", { class: "fc-row__name", text: person.username }),
      isMe ? el("span", { class: "fc-row__hint", text: texts.get("self") }) : null,
      this.#badge,
    );
    this.button.addEventListener("click", pick);
    this.element = el("li", {}, this.button);
  }

  update(unread) {
    if (unread === this.#shown) return;
    this.#shown = unread;
    this.#badge.hidden = !unread;
    this.#badge.textContent = this.#texts.badge(unread);
    const label = [this.#person.username, this.#texts.get("present")];
    if (unread) label.push(this.#texts.count("unread", unread));
    this.button.setAttribute("aria-label", label.join(", "));
  }
}
