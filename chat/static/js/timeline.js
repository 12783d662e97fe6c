/** Messages that the page keeps of one conversation at once, and so shows. */
export const KEPT = 400;
const IDS_REMEMBERED = 1_000;

/**
 * A window into one conversation's messages, in order and without a hole: what the page shows of it.
 *
 * It is filled from the history (`start`, `prepend`, `append`) and, while it reaches to the end, by what is said now
 * (`live`). What comes before something that is still on its way is held back until that is here. After the last one
 * stand our own messages that the server does not have yet.
 */
export class Timeline {
  /** Whether there is a window yet, and whether it reaches to the conversation's first and newest message. */
  loaded = false;
  atStart = false;
  atEnd = false;
  #items = [];
  /** The seq of the first and the last message of the window. */
  #low = 0;
  #high = 0;
  #held = new Map();
  /** Our own messages, until they stand in the order of the room. */
  #waiting = [];
  /** What came without a seq before there was a window. */
  #early = [];
  #ids = new Set();

  get low() {
    return this.#low;
  }

  get high() {
    return this.#high;
  }

  /** What there is to show. */
  get messages() {
    return this.atEnd || !this.loaded ? [...this.#items, ...this.#waiting] : this.#items;
  }

  get isWaiting() {
    return this.#waiting.length > 0;
  }

  /** The message with this seq, if it is in the window. */
  at(seq) {
    return this.#items.find((message) => message.seq === seq);
  }

  /** The message that stands before the one with this seq. */
  before(seq) {
    return this.#items.findLast((message) => message.seq && message.seq < seq);
  }

  /** Forget the window; our own messages that are still on their way stay. */
  drop() {
    this.loaded = this.atStart = this.atEnd = false;
    this.#items = [];
    this.#low = this.#high = 0;
    this.#held.clear();
  }

  /** Begin anew with this page of messages, oldest first. */
  start(page, { atStart, atEnd, floor }) {
    this.#items = page.map((message) => this.#own(message));
    this.#low = page[0]?.seq ?? floor + 1;
    this.#high = page.at(-1)?.seq ?? floor;
    this.loaded = true;
    this.atStart = atStart;
    this.#reach(atEnd);
    if (atEnd) this.#items.push(...this.#early.splice(0));
  }

  /** Begin with nothing, in a room that keeps nothing. */
  startEmpty() {
    if (!this.loaded) this.start([], { atStart: true, atEnd: true, floor: 0 });
  }

  /** Put older messages before the window; what is then too much goes from its end. */
  prepend(page, { atStart }) {
    const older = page.filter(({ seq }) => seq < this.#low);
    this.#items = [...older, ...this.#items];
    if (older.length) this.#low = older[0].seq;
    this.atStart = atStart;
    this.trim({ keepEnd: false });
  }

  /** Put newer messages after the window; what is then too much goes from its beginning, or its end. */
  append(page, { atEnd, keepEnd = true }) {
    for (const message of page) if (message.seq > this.#high) this.#push(this.#own(message));
    this.#reach(atEnd);
    this.trim({ keepEnd });
  }

  /** Take a message that was said now, unless it is here already or belongs beyond the window. */
  live(message) {
    if (!message.seq && !this.#ids.has(idOf(message))) this.#unordered(message);
    if (!message.seq || !this.loaded || !this.atEnd || message.seq <= this.#high) return;
    this.#held.set(message.seq, this.#own(message));
    this.#settle();
  }

  /** Put our own new message after all others. */
  send(message) {
    this.#forget(message);
    this.#waiting.push(message);
  }

  /** Our own message has its place in the order now, or in a room that keeps nothing just its turn. */
  confirm(message) {
    if (message.seq) {
      if (!this.loaded || !this.atEnd || message.seq <= this.#high) this.#forget(message);
      this.#settle();
    } else if (this.#waiting.includes(message)) {
      this.#forget(message);
      this.#unordered(message);
    }
  }

  /** Take one of our own messages away that was never sent. */
  discard(message) {
    this.#forget(message);
  }

  /** Let go of what is more than we keep, at the one end or the other. */
  trim({ keepEnd }) {
    const tooMany = this.#items.length - KEPT;
    if (tooMany <= 0) return;
    if (keepEnd) {
      this.#items.splice(0, tooMany);
      this.atStart = false;
      this.#low = this.#items.find(({ seq }) => seq)?.seq ?? this.#low;
    } else {
      this.#items.splice(-tooMany);
      this.atEnd = false;
      this.#held.clear();
      this.#high = this.#items.findLast(({ seq }) => seq)?.seq ?? this.#high;
    }
  }

  /** The window ends here, or where the newest message is. */
  endHere() {
    this.atEnd = false;
    this.#held.clear();
  }

  #reach(atEnd) {
    this.atEnd = atEnd;
    if (atEnd) this.#settle();
    else this.#held.clear();
    for (const message of [...this.#waiting]) if (message.seq && message.seq <= this.#high) this.#forget(message);
  }

  /** Move what was held back, and our own, behind the window's last message, as far as there is no hole. */
  #settle() {
    for (const seq of this.#held.keys()) if (seq <= this.#high) this.#held.delete(seq);
    for (let next = this.#next(); next; next = this.#next()) {
      this.#held.delete(next.seq);
      this.#push(next);
    }
  }

  #next() {
    const seq = this.#high + 1;
    if (!this.atEnd) return undefined;
    return this.#held.get(seq) ?? this.#waiting.find((message) => message.seq === seq);
  }

  #push(message) {
    this.#forget(message);
    this.#items.push(message);
    this.#high = message.seq;
  }

  /** A message without a place in any order stands where it came. */
  #unordered(message) {
    this.#ids.add(idOf(message));
    if (this.#ids.size > IDS_REMEMBERED) this.#ids.delete(this.#ids.values().next().value);
    (this.loaded && this.atEnd ? this.#items : this.#early).push(message);
  }

  /** Where a message is the echo of one of ours that waits, ours, which the page shows already; else itself. */
  #own(message) {
    const ours = message.own && this.#waiting.find(({ id }) => id === message.id);
    if (!ours) return message;
    return Object.assign(ours, { state: "sent", error: null, seq: message.seq, ts: message.ts });
  }

  #forget(message) {
    const at = this.#waiting.indexOf(message);
    if (at >= 0) this.#waiting.splice(at, 1);
  }
}

function idOf(message) {
  return `${message.user?.id} ${message.id}`;
}
