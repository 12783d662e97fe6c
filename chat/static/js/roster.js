/** Who is here, in the order of their names: a list at first, then what changes. */
export class Roster {
  /** @type {Map<string, import("./types").Person>} */
  #byName = new Map();
  /** @type {import("./types").Person[] | null} */
  #sorted = null;
  #collator;

  constructor(locale) {
    this.#collator = new Intl.Collator(locale, { sensitivity: "base", numeric: true });
  }

  get size() {
    return this.#byName.size;
  }

  /** Everybody, sorted. */
  get people() {
    this.#sorted ??= [...this.#byName.values()].sort((a, b) => this.#collator.compare(a.username, b.username));
    return this.#sorted;
  }

  reset(people) {
    this.#byName = new Map(people.map((person) => [person.username, person]));
    this.#sorted = null;
  }

  change(joined, left) {
    for (const name of left) this.#byName.delete(name);
    for (const person of joined) this.#byName.set(person.username, person);
    this.#sorted = null;
  }

  has(person) {
    return this.#byName.has(person.username);
  }
}
