import { LOBBY, MessageType, newId } from "./protocol.js";

const ANSWER_TIMEOUT = 15_000;
/** How long a store that fails is left alone. */
const STORE_PAUSE = 3_000;

/**
 * The rooms that this socket hears: joins them after each connect, with what it has of them, and keeps within what a
 * socket may join. Direct messages come without any of this.
 *
 * Events: `joined` with {conversation, synced} when the server has told what was missed, `refused` with {conversation,
 * sentence}.
 */
export class Subscriptions extends EventTarget {
  #connection;
  #conversations;
  #pace;
  #most;
  /** What was asked for: name -> {id, isIn, used}, where `used` grows with each look at the room. */
  #rooms = new Map();
  #looks = 0;
  /** Rooms that we may not hear: not asked for again until the reader turns to them. */
  #refusals = new Set();
  #queue = [];
  #timer = 0;

  constructor({ connection, conversations, pace, most }) {
    super();
    this.#connection = connection;
    this.#conversations = conversations;
    this.#pace = pace;
    this.#most = most;
  }

  /** A new connection, which hears nothing yet. */
  restart() {
    this.#rooms.clear();
    this.#refusals.clear();
    this.#queue = [];
    this.joinAll();
  }

  /** Join what is not joined yet: what is looked at first, then the lobby, then the liveliest, as many as we may. */
  joinAll() {
    const { current, lobby, rooms } = this.#conversations;
    const liveliest = rooms.toSorted((a, b) => b.lastAt - a.lastAt);
    const wanted = new Set([current, lobby, ...liveliest].filter((one) => one.isRoom && one.isMember));
    for (const conversation of wanted) {
      if (this.#rooms.size < this.#most && !this.#refusals.has(conversation.name)) this.#ask(conversation);
    }
    this.#pump();
  }

  /** Hear this room from now on; where that is one too many, the one that was not looked at for longest goes. */
  join(conversation) {
    if (!conversation.isRoom) return;
    if (!this.#rooms.has(conversation.name)) {
      if (this.#rooms.size >= this.#most && this.#leastUsed()) this.leave(this.#leastUsed());
      this.#ask(conversation, { first: true });
      this.#pump();
    }
    this.#rooms.get(conversation.name).used = ++this.#looks;
  }

  /** Hear this room no more. */
  leave(name) {
    if (this.#rooms.delete(name)) this.#connection.send({ type: MessageType.LEAVE, room: name });
  }

  /** The server says that we do not hear this room any more. */
  lost(name) {
    this.#rooms.delete(name);
  }

  /** Whether what is said in a conversation reaches us, and what was missed of it has. */
  hears(conversation) {
    return !conversation.isRoom || Boolean(this.#rooms.get(conversation.name)?.isIn);
  }

  /** Whether there are rooms of ours that this socket has no place for. */
  get isFull() {
    return this.#conversations.rooms.some(({ name }) => !this.#rooms.has(name));
  }

  /** A Synced came. */
  synced(synced) {
    const entry = this.#rooms.get(synced.room);
    const conversation = this.#conversations.get(synced.room);
    if (!entry || !conversation || (synced.ref ?? entry.id) !== entry.id) return;
    entry.isIn = true;
    this.#emit("joined", { conversation, synced });
  }

  /** An Error that may be the answer to a Join of ours: true if it was. */
  refuse({ ref, code, data, retry_after: retryAfter }) {
    const [name, entry] = [...this.#rooms].find(([, { id }]) => id === ref) ?? [];
    if (!entry) return false;
    if (code === "rate_limited") this.#pace.hold(retryAfter ?? 1);
    if (code === "rate_limited") this.#again(name);
    else if (code === "store_unavailable") setTimeout(() => this.#unanswered(name, entry), STORE_PAUSE);
    else this.#refused(name, code, data);
    return true;
  }

  #refused(name, code, sentence) {
    const conversation = this.#conversations.get(name);
    this.#rooms.delete(name);
    this.#refusals.add(name);
    // The server counts otherwise than we do: it is right.
    if (code === "too_many_rooms") this.#most = Math.max(1, this.#rooms.size);
    const isCurrent = conversation === this.#conversations.current;
    if (code === "too_many_rooms" && isCurrent && this.#leastUsed()) this.join(conversation);
    else if (conversation) this.#emit("refused", { conversation, sentence });
  }

  #again(name) {
    this.#queue.unshift(name);
    this.#pump();
  }

  /** The room that was not looked at for longest; of those never looked at, the quietest, which was asked for last. */
  #leastUsed() {
    const rest = [...this.#rooms].filter(([name]) => name !== LOBBY);
    return rest.reduce((least, one) => (one[1].used <= least[1].used ? one : least), rest[0])?.[0];
  }

  #ask({ name }, { first = false } = {}) {
    if (this.#rooms.has(name)) return;
    this.#rooms.set(name, { id: newId(), isIn: false, used: 0 });
    if (first) this.#queue.unshift(name);
    else this.#queue.push(name);
  }

  #pump() {
    clearTimeout(this.#timer);
    const { current } = this.#conversations;
    while (this.#queue.length) {
      const wait = this.#queue[0] === current.name ? this.#pace.wait : this.#pace.patientWait;
      if (wait > 0) {
        this.#timer = setTimeout(() => this.#pump(), wait + 5);
        return;
      }
      if (!this.#send(this.#queue[0])) return;
      this.#queue.shift();
    }
  }

  /** True where there is nothing more to do about it. */
  #send(name) {
    const entry = this.#rooms.get(name);
    const conversation = this.#conversations.get(name);
    if (!entry || !conversation) return true;
    const { timeline, epoch, ephemeral } = conversation;
    const join = { type: MessageType.JOIN, room: name, id: entry.id };
    // What we have of it reaches up to here: what was said since comes now.
    if (timeline.loaded && timeline.atEnd && epoch && !ephemeral) Object.assign(join, { since: timeline.high, epoch });
    if (!this.#connection.send(join)) return false;
    this.#pace.spend();
    setTimeout(() => this.#unanswered(name, entry), ANSWER_TIMEOUT);
    return true;
  }

  #unanswered(name, entry) {
    if (this.#rooms.get(name) === entry && !entry.isIn) this.#again(name);
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
