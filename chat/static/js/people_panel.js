import { part } from "./dom.js";
import { PersonRow } from "./person_row.js";
import { RovingFocus } from "./roving_focus.js";

/** Names shown at once; the filter finds the rest. */
const SHOWN = 150;
const FILTER_FROM = 12;

/**
 * The people of a room: who is here, and the members who are not, each a button that opens a conversation.
 *
 * Events: `pick` with the person, `manage` with the member to administer, `invite`, `more` for more members, `changed`
 * when it is to be drawn anew.
 */
export class PeoplePanel extends EventTarget {
  #here;
  #away;
  #counts;
  #filter;
  #invite;
  #note;
  #awaySection;
  #more;
  #state;
  #texts;
  #me;
  #rows = { here: new Map(), away: new Map() };

  constructor(root, { texts, me }) {
    super();
    this.#here = { list: part(root, "roster"), roving: new RovingFocus(part(root, "roster")) };
    this.#away = { list: part(root, "away"), roving: new RovingFocus(part(root, "away")) };
    this.#counts = { here: part(root, "people-count"), away: part(root, "away-count") };
    this.#filter = part(root, "filter");
    this.#invite = part(root, "invite");
    this.#note = part(root, "roster-note");
    this.#awaySection = part(root, "away-section");
    this.#more = part(root, "away-more");
    this.#state = part(root, "away-state");
    this.#texts = texts;
    this.#me = me;
    this.#filter.addEventListener("input", () => this.#emit("changed"));
    this.#invite.addEventListener("click", () => this.#emit("invite"));
    this.#more.addEventListener("click", () => this.#emit("more"));
  }

  /** Show the people of `conversation`; `members` as Members gives them, `unreadOf` what is unread from somebody. */
  render({ conversation, members, unreadOf, isPresent }) {
    const [here, away] = split(conversation.roster, [...members.people.values()]);
    const describe = (person) => this.#describe(person, conversation, members, unreadOf(person));
    const found = this.#matching(here);
    this.#place("here", this.#here, found.slice(0, SHOWN), (person) => ({ ...describe(person), isPresent: true }));
    this.#place("away", this.#away, this.#matching(away), (person) => ({
      ...describe(person),
      isPresent: isPresent(person),
    }));
    this.#showCounts(here.length, away.length, members.next);
    this.#invite.hidden = !(conversation.kind === "private" && conversation.administers);
    this.#filter.hidden = here.length + away.length < FILTER_FROM && !this.#filter.value;
    this.#showNotes(here, found, away, members);
  }

  /** Another room's people: nobody is looked for among them yet. */
  reset() {
    this.#filter.value = "";
  }

  /** Ourselves first, then the rest as they come, of whom the filter leaves some. */
  #matching(people) {
    const wanted = this.#filter.value.trim().toLocaleLowerCase();
    const mine = people.filter(({ id }) => id === this.#me.id);
    const rest = people.filter(({ id }) => id !== this.#me.id);
    const all = [...mine, ...rest];
    return wanted ? all.filter(({ username }) => username.toLocaleLowerCase().includes(wanted)) : all;
  }

  #describe({ id }, conversation, { people }, unread) {
    const role = people.get(id)?.role;
    const mayManage = conversation.role === "owner" ? Boolean(role) : role === "member";
    return { role, unread, isManaged: conversation.administers && mayManage && id !== this.#me.id };
  }

  #place(name, { list, roving }, people, describe) {
    const rows = new Map();
    let cursor = list.firstChild;
    for (const person of people) {
      const row = this.#rows[name].get(person.id) ?? this.#makeRow(person);
      rows.set(person.id, row);
      row.update(describe(person));
      if (row.element === cursor) cursor = cursor.nextSibling;
      else list.insertBefore(row.element, cursor);
    }
    for (const [id, row] of this.#rows[name]) if (!rows.has(id)) row.element.remove();
    this.#rows[name] = rows;
    roving.refresh();
  }

  #makeRow(person) {
    return new PersonRow(person, {
      texts: this.#texts,
      isMe: person.id === this.#me.id,
      pick: () => this.#emit("pick", person),
      manage: () => this.#emit("manage", person),
    });
  }

  #showCounts(here, away, next) {
    this.#counts.here.textContent = here ? this.#texts.number(here) : "";
    this.#counts.away.textContent = away ? `${this.#texts.number(away)}${next ? "+" : ""}` : "";
  }

  #showNotes(here, found, away, { next, state }) {
    const isAlone = !here.some(({ id }) => id !== this.#me.id);
    const more = found.length - SHOWN;
    const none = this.#filter.value && !found.length && !this.#rows.away.size;
    const words = more > 0 ? this.#texts.count("more", more) : none ? this.#texts.get("no_match") : "";
    const alone = here.length ? "nobody" : "nobody_here";
    this.#note.textContent = words || (isAlone && !this.#filter.value ? this.#texts.get(alone) : "");
    this.#note.hidden = !this.#note.textContent;
    const failed = state && state !== "loading";
    this.#awaySection.hidden = !away.length && !failed;
    this.#state.hidden = !failed;
    this.#state.textContent = failed ? state : "";
    this.#more.hidden = !next && !failed;
    this.#more.disabled = state === "loading";
    this.#more.textContent = this.#texts.get(failed ? "try_again" : "show_more");
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** Who is here and which members are not; of a room that we do not hear, as the members' list told it. */
function split(roster, members) {
  if (roster.size) return [roster.people, members.filter((person) => !roster.has(person))];
  return [members.filter(({ here }) => here), members.filter(({ here }) => !here)];
}
