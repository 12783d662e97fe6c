/** Messages that a conversation keeps, and so the page shows. */
export const KEPT = 500;
const IDS_REMEMBERED = 2_000;

/**
 * One room or one person: its messages in order, and what of it is unread.
 *
 * A message is {id, user, text, ts, seq, era, own, state, error, mention} with state pending, sent or failed; a note
 * has `note` in place of a user. `era` counts connections: seq of two of them cannot be compared.
 */
export class Conversation {
  messages = [];
  unread = 0;
  /** The first message that was unread when the reader last came back. */
  unreadFrom = null;
  #ids = new Set();
  #lastSeq = 0;
  #lastEra = 0;
  #ackedSeqs = new Set();

  constructor(key, person = null) {
    this.key = key;
    this.person = person;
  }

  get isRoom() {
    return this.person === null;
  }

  /** Put a message where it belongs: in the room's order, and before what is still on its way out. */
  add(message) {
    let at = this.messages.length;
    while (at > 0 && comesAfter(this.messages[at - 1], message)) at--;
    this.messages.splice(at, 0, message);
    this.#remember(keyOf(message));
    if (this.messages.length > KEPT) this.messages.splice(0, this.messages.length - KEPT);
  }

  remove(message) {
    const at = this.messages.indexOf(message);
    if (at >= 0) this.messages.splice(at, 1);
  }

  /** Take a message's new state into account: its place may be another now. */
  replace(message) {
    this.remove(message);
    this.add(message);
  }

  /** Whether this message has been here before: the echo of our own, or one that came twice. */
  knows(message) {
    return this.#ids.has(keyOf(message));
  }

  /** Note our own message's place in the room's order: it will not be counted as missed. */
  acked(seq) {
    if (seq) this.#ackedSeqs.add(seq);
  }

  /** Take note of a seq that arrived; return how many messages before it never did. */
  heard(seq, era) {
    if (!seq) return 0;
    let missed = 0;
    if (this.#lastEra && era !== this.#lastEra) {
      for (let n = this.#lastSeq + 1; n < seq && missed < 1_000; n++) if (!this.#ackedSeqs.has(n)) missed++;
    }
    this.#lastSeq = era === this.#lastEra ? Math.max(seq, this.#lastSeq) : seq;
    this.#lastEra = era;
    this.#ackedSeqs.clear();
    return missed;
  }

  countUnread(message) {
    if (this.unread === 0) this.unreadFrom = message;
    this.unread++;
  }

  read() {
    this.unread = 0;
  }

  #remember(key) {
    this.#ids.add(key);
    if (this.#ids.size > IDS_REMEMBERED) this.#ids.delete(this.#ids.values().next().value);
  }
}

function keyOf(message) {
  return `${message.user?.id} ${message.id}`;
}

function comesAfter(other, message) {
  if (other.state === "pending") return message.state !== "pending";
  return Boolean(other.seq && message.seq && other.era === message.era && other.seq > message.seq);
}
