import { Conversation } from "./conversation.js";
import { Kept } from "./kept.js";
import { LOBBY } from "./protocol.js";

/** People whom the list still names after a reload. */
const LISTED = 50;

/** All conversations of this page: the room, and one for each person spoken with; the newest of those first. */
export class Conversations {
  #me;
  #byKey = new Map();
  #kept;

  constructor(me) {
    this.#me = me;
    this.#kept = new Kept("sessionStorage", `chat:${me.id}:`);
    this.lobby = new Conversation(LOBBY);
    this.#byKey.set(LOBBY, this.lobby);
    for (const person of this.#kept.get("people") ?? []) {
      this.#byKey.set(keyFor(person), new Conversation(keyFor(person), person));
    }
    this.current = this.lobby;
  }

  get all() {
    return [...this.#byKey.values()];
  }

  get unread() {
    return this.all.reduce((sum, conversation) => sum + conversation.unread, 0);
  }

  /** The conversation with a person, begun if there is none yet. */
  with(person) {
    const key = keyFor(person);
    if (!this.#byKey.has(key)) {
      this.#byKey.set(key, new Conversation(key, person));
      this.#save();
    }
    return this.#byKey.get(key);
  }

  /** The conversation with a person, if there is one. */
  find(person) {
    return this.#byKey.get(keyFor(person));
  }

  /** The one that a direct message belongs to: with its author, or, from another tab of ours, with whom it is for. */
  forDirect({ user, to, room }) {
    if (user.id !== this.#me.id) return this.with(user);
    return this.with({ id: otherEnd(room, this.#me.id) ?? to, username: to });
  }

  /** Move a person's conversation to the front of the list. */
  touch(conversation) {
    if (conversation.isRoom) return;
    this.#byKey.delete(conversation.key);
    const rest = [...this.#byKey].filter(([, other]) => !other.isRoom);
    this.#byKey = new Map([[LOBBY, this.lobby], [conversation.key, conversation], ...rest]);
    this.#save();
  }

  #save() {
    const people = this.all.filter((conversation) => !conversation.isRoom).map(({ person }) => person);
    this.#kept.set("people", people.slice(0, LISTED));
  }
}

function keyFor(person) {
  return `dm:${person.id}`;
}

/** The other id in "dm:<a>:<b>". */
function otherEnd(room, id) {
  const pair = room?.slice("dm:".length);
  if (pair?.startsWith(`${id}:`)) return pair.slice(id.length + 1);
  if (pair?.endsWith(`:${id}`)) return pair.slice(0, -id.length - 1);
  return null;
}
