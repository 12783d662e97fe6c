import { Kept } from "./kept.js";
import { MessageType } from "./protocol.js";

const ANSWER_TIMEOUT = 20_000;

/** A store that fails is asked again after so long, each time a little later; then the reader decides. */
const STORE_PAUSES = [2_000, 4_000, 8_000, 15_000];
const REJOINS = 3;

/** Messages that survive a reload; more than a person writes while a connection is down. */
const KEPT = 100;

/**
 * Our own messages until the server has them: sent in order, sent again with the same id after a reconnect or a reload.
 *
 * `hears` tells whether a conversation can be written to: a room only once it is joined, and what was said while we were
 * away has come. Events: `change` with {message, conversation} whenever one is confirmed or fails, `unheard` with a
 * conversation that the server says we are not in.
 */
export class Outbox extends EventTarget {
  #connection;
  #texts;
  #days;
  #pace;
  #hears;
  #kept;
  #entries = new Map();
  #pumpTimer = 0;

  constructor({ connection, texts, days, pace, hears, userId }) {
    super();
    this.#connection = connection;
    this.#texts = texts;
    this.#days = days;
    this.#pace = pace;
    this.#hears = hears;
    this.#kept = new Kept("sessionStorage", `chat:${userId}:`);
  }

  /** What was still waiting when the page was left: [{id, text, ts, room, person}], person null for a room. */
  get leftBehind() {
    return this.#kept.get("outbox") ?? [];
  }

  /** Send a message, now or as soon as it can be. */
  add(message, conversation) {
    this.#entries.set(message.id, { message, conversation, sentAt: 0, failures: 0, notBefore: 0 });
    this.#keep();
    this.pump();
  }

  /** A new connection: what was under way may be lost, so it goes again; the server stores it once. */
  restart() {
    for (const entry of this.#entries.values()) Object.assign(entry, { sentAt: 0, notBefore: 0 });
    this.pump();
  }

  /** The server has it: by its Ack, by its echo, or because the history shows it. */
  confirm(ref, { seq, ts }) {
    const entry = this.#take(ref);
    if (!entry) return;
    const { message, conversation } = entry;
    Object.assign(message, { state: "sent", error: null, seq, ts: Number.isFinite(ts) ? ts : message.ts });
    conversation.timeline.confirm(message);
    this.#changed(entry);
  }

  /** The server would not have it: tell why, or wait and try again if it only came too soon. True if it was ours. */
  refuse({ ref, data, retry_after: retryAfter, code }) {
    const entry = this.#entries.get(ref);
    if (!entry) return false;
    if (retryAfter && code === "rate_limited") {
      entry.sentAt = 0;
      this.#pace.hold(retryAfter);
      this.pump();
    } else if (code === "store_unavailable" && entry.failures < STORE_PAUSES.length) {
      this.#postpone(entry, data);
    } else if (code === "not_joined" && entry.failures++ < REJOINS) {
      entry.sentAt = 0;
      this.dispatchEvent(new CustomEvent("unheard", { detail: entry.conversation }));
    } else {
      this.#fail(entry, code === "quota_exceeded" ? this.#quotaSentence(retryAfter) : data);
    }
    return true;
  }

  /** Nothing more will come of what waits for this conversation. */
  giveUp(conversation, reason) {
    for (const entry of [...this.#entries.values()]) if (entry.conversation === conversation) this.#fail(entry, reason);
  }

  /** The connection was closed because of something sent on it: do not send that again by ourselves. */
  refuseSent() {
    for (const entry of [...this.#entries.values()]) {
      if (entry.sentAt) this.#fail(entry, this.#texts.get("not_taken"));
    }
  }

  /** Send what can be sent. */
  pump() {
    clearTimeout(this.#pumpTimer);
    const now = Date.now();
    // What must wait holds up what was written after it in the same conversation, and nothing else.
    const held = new Set();
    let next = Infinity;
    for (const entry of this.#entries.values()) {
      const { conversation, sentAt, notBefore } = entry;
      if (sentAt || held.has(conversation)) continue;
      const wait = Math.max(this.#pace.wait, notBefore - now);
      if (wait <= 0 && this.#hears(conversation) && this.#send(entry)) continue;
      held.add(conversation);
      if (wait > 0) next = Math.min(next, wait);
    }
    if (next < Infinity) this.#pumpTimer = setTimeout(() => this.pump(), next + 5);
  }

  #send(entry) {
    if (!this.#connection.send(frameOf(entry))) return false;
    this.#pace.spend();
    const sentAt = (entry.sentAt = Date.now());
    setTimeout(() => this.#unanswered(entry, sentAt), ANSWER_TIMEOUT);
    return true;
  }

  /** The store failed: the message waits, and says why. */
  #postpone(entry, reason) {
    const pause = STORE_PAUSES[entry.failures++];
    Object.assign(entry, { sentAt: 0, notBefore: Date.now() + pause });
    entry.message.error = reason;
    this.#changed(entry);
    this.pump();
  }

  #quotaSentence(seconds) {
    return this.#texts.get("quota", { time: this.#days.moment(Date.now() + seconds * 1000) });
  }

  #unanswered(entry, sentAt) {
    if (this.#entries.get(entry.message.id) === entry && entry.sentAt === sentAt) {
      this.#fail(entry, this.#texts.get("no_answer"));
    }
  }

  #fail(entry, reason) {
    this.#take(entry.message.id);
    Object.assign(entry.message, { state: "failed", error: reason });
    this.#changed(entry);
  }

  #take(id) {
    const entry = this.#entries.get(id);
    if (this.#entries.delete(id)) this.#keep();
    return entry;
  }

  #keep() {
    const entries = [...this.#entries.values()].slice(0, KEPT);
    const kept = entries.map(({ message: { id, text, ts }, conversation: { name: room, person } }) => {
      return { id, text, ts, room, person };
    });
    this.#kept.set("outbox", kept.length ? kept : null);
  }

  #changed({ message, conversation }) {
    this.dispatchEvent(new CustomEvent("change", { detail: { message, conversation } }));
  }
}

/** The wire's form of a message. A person is addressed by id: names may differ only in case, and change. */
function frameOf({ message: { id, text }, conversation: { isRoom, name, person } }) {
  if (isRoom) return { type: MessageType.GROUP_CHAT, room: name, data: text, id };
  return { type: MessageType.SINGLE_CHAT, to: person.username, to_id: person.id, data: text, id };
}
