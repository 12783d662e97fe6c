const PAGE = 100;

/**
 * Who belongs to which room, whether they are here or not, as the API tells it, a page at a time.
 *
 * `of` gives {people: Map of id -> {id, username, role}, next, state}: state is null, "loading" or an error's sentence.
 * Event: `change` with the conversation.
 */
export class Members extends EventTarget {
  #api;
  #lists = new WeakMap();

  constructor(api) {
    super();
    this.#api = api;
  }

  of(conversation) {
    if (!this.#lists.has(conversation)) this.#lists.set(conversation, { people: new Map(), next: null, state: null });
    return this.#lists.get(conversation);
  }

  /** Read the list anew, from its beginning; what is known stays until the answer comes. */
  load(conversation) {
    return this.#read(conversation, null);
  }

  /** Read on where the list ended. */
  more(conversation) {
    return this.#read(conversation, this.of(conversation).next);
  }

  async #read(conversation, after) {
    const list = this.of(conversation);
    if (list.state === "loading") return;
    this.#become(conversation, { state: "loading" });
    try {
      const path = ["rooms", conversation.name, "members"];
      const { members, next } = await this.#api.get(path, { after, limit: PAGE });
      const known = after === null ? [] : list.people;
      const people = new Map([...known, ...members.map((member) => [member.id, member])]);
      this.#become(conversation, { people, next, state: null });
    } catch (error) {
      this.#become(conversation, { state: error.message });
    }
  }

  #become(conversation, change) {
    Object.assign(this.of(conversation), change);
    this.dispatchEvent(new CustomEvent("change", { detail: conversation }));
  }
}
