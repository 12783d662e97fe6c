import { Roster } from "./roster.js";
import { Timeline } from "./timeline.js";

/**
 * One room, or one person: what it is called, who is in it, how far it is read, and a window into its messages.
 *
 * Its `name` is what the wire and the API call it. What is unread follows from two numbers that only grow, the newest
 * seq and the last one read, so that nothing is counted twice, whichever way the news came.
 */
export class Conversation {
  kind = "public";
  title = "";
  topic = "";
  /** @type {"owner" | "admin" | "member" | null} null for who only looks at a public room */
  role = null;
  ephemeral = false;
  epoch = "";
  firstSeq = 1;
  lastSeq = 0;
  readSeq = 0;
  /** How far the server knows that we read. */
  toldSeq = 0;
  mentions = 0;
  /** When something was said last, in milliseconds; by that people are ordered. */
  lastAt = 0;
  /**
   * The first message that was unread when the reader came: a line stands before it until the reader leaves.
   * @type {number | null}
   */
  line = null;
  /** Whether it was we who asked to leave it. */
  leaving = false;
  /**
   * What loading its messages is at.
   * @type {Record<"older" | "newer" | "whole", import("./types").Loading>}
   */
  loading = { older: null, newer: null, whole: null };
  timeline = new Timeline();
  #isWatched;
  #unseen = 0;

  /**
   * `isWatched` tells whether the reader looks at a conversation's newest message right now.
   * @param {string} name
   * @param {{locale: string, person?: import("./types").Person | null, isWatched: (one: Conversation) => boolean}} parts
   */
  constructor(name, { locale, person = null, isWatched }) {
    this.name = name;
    this.person = person;
    this.#isWatched = isWatched;
    this.roster = new Roster(locale);
    if (person) this.kind = "direct";
  }

  get isRoom() {
    return this.person === null;
  }

  get isMember() {
    return this.role !== null || !this.isRoom;
  }

  get administers() {
    return this.isRoom && (this.role === "owner" || this.role === "admin");
  }

  get unread() {
    if (!this.isMember) return 0;
    if (this.ephemeral) return this.#unseen;
    return Math.max(0, this.lastSeq - Math.max(this.readSeq, this.firstSeq - 1));
  }

  /** The first message that is unread. */
  get firstUnread() {
    return Math.max(this.readSeq, this.firstSeq - 1) + 1;
  }

  /** Whether the window lacks messages that we know were said. */
  get hasHole() {
    return this.timeline.loaded && this.timeline.atEnd && this.lastSeq > this.timeline.high;
  }

  /** Take what the API says of the room. */
  describe({ title, topic, kind, role, ephemeral, epoch, first_seq, last_seq, last_at, read_seq, mentions }) {
    this.begin(epoch);
    this.#counting(() => {
      Object.assign(this, { title, topic, kind, ephemeral, firstSeq: first_seq, role: role ?? null });
      // What was heard since the answer was written counts too.
      const stale = last_seq < this.lastSeq;
      this.lastSeq = Math.max(this.lastSeq, last_seq);
      this.lastAt = Math.max(this.lastAt, last_at);
      this.toldSeq = Math.max(this.toldSeq, read_seq ?? 0);
      this.readSeq = Math.max(this.readSeq, this.toldSeq);
      this.mentions = stale ? Math.max(this.mentions, mentions ?? 0) : (mentions ?? 0);
    });
  }

  /** Note the epoch; true if it is another than before, for then no seq means what it did. */
  begin(epoch) {
    const anew = Boolean(this.epoch && epoch && epoch !== this.epoch);
    this.epoch = epoch || this.epoch;
    if (anew) this.#restart();
    return anew;
  }

  /** The server's newest message is this one; true if ours was newer, for then it has another history than we know. */
  endsAt(seq) {
    const anew = seq < this.lastSeq;
    if (anew) this.#restart();
    return anew;
  }

  /** Something was said: count it, unless it was counted before. True if it is news to the reader. */
  hear({ seq, ts, own, mention }) {
    this.lastAt = Math.max(this.lastAt, ts);
    if (seq && seq <= this.lastSeq) return false;
    this.#counting(() => {
      // What we say ourselves is read, if all before it was.
      if (own && this.readSeq === seq - 1) this.readSeq = seq;
      if (seq) this.lastSeq = seq;
      else if (!own && this.ephemeral) this.#unseen++;
      if (mention && this.isMember) this.mentions++;
    });
    return !own;
  }

  /** There are messages up to this seq. */
  reaches(seq) {
    this.#counting(() => (this.lastSeq = Math.max(this.lastSeq, seq)));
  }

  /** The reader saw everything up to this. */
  readTo(seq) {
    this.#unseen = 0;
    this.readSeq = Math.max(this.readSeq, seq);
    if (!this.unread) this.mentions = 0;
  }

  /** Another tab or device of ours read this far. */
  readElsewhere({ seq, mentions }) {
    this.toldSeq = Math.max(this.toldSeq, seq);
    this.readSeq = Math.max(this.readSeq, seq);
    this.mentions = this.unread ? mentions : 0;
  }

  #restart() {
    Object.assign(this, { firstSeq: 1, lastSeq: 0, readSeq: 0, toldSeq: 0, mentions: 0, line: null });
    this.timeline.drop();
  }

  /** Change what is unread; where it begins, a line is drawn for a reader who is not looking. */
  #counting(change) {
    const hadUnread = this.unread > 0;
    change();
    if (!this.unread) this.mentions = 0;
    else if (!hadUnread && !this.ephemeral && !this.#isWatched(this)) this.line = this.firstUnread;
  }
}
