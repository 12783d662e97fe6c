import { Kept } from "./kept.js";
import { MessageType } from "./protocol.js";

/** The server takes 20 messages a second from a user; after a reconnect we stay well under it. */
const BURST = 15;
const PER_SECOND = 10;
const ANSWER_TIMEOUT = 20_000;

/** Messages that survive a reload; more than a person writes while a connection is down. */
const KEPT = 100;

/**
 * Our own messages until the server has them: sent in order, sent again with the same id after a reconnect or a reload.
 *
 * Event: `change` with {message, conversation} whenever one is confirmed or fails.
 */
export class Outbox extends EventTarget {
  #connection;
  #texts;
  #kept;
  #entries = new Map();
  #allowance = BURST;
  #filledAt = Date.now();
  #heldUntil = 0;
  #pumpTimer = 0;

  constructor(connection, texts, userId) {
    super();
    this.#connection = connection;
    this.#texts = texts;
    this.#kept = new Kept("sessionStorage", `chat:${userId}:`);
  }

  /** What was still waiting when the page was left: [{id, text, ts, person}], person null for the room. */
  get leftBehind() {
    return this.#kept.get("outbox") ?? [];
  }

  /** Send a message, now or as soon as there is a connection. */
  add(message, conversation) {
    this.#entries.set(message.id, { message, conversation, sentAt: 0 });
    this.#keep();
    this.#pump();
  }

  /** A new connection: what was under way may be lost, so it goes again; the server stores it once. */
  resend() {
    for (const entry of this.#entries.values()) entry.sentAt = 0;
    this.#pump();
  }

  /** The server has it. */
  confirm(ref, { seq, ts }, era) {
    const entry = this.#take(ref);
    if (!entry) return;
    const { message, conversation } = entry;
    Object.assign(message, { state: "sent", error: null, seq, era, ts: Number.isFinite(ts) ? ts : message.ts });
    conversation.acked(seq);
    conversation.replace(message);
    this.#changed(entry);
  }

  /** The server would not have it: tell why, or wait and try again if it only came too soon. True if it was ours. */
  refuse({ ref, data, retry_after: retryAfter, code }) {
    const entry = this.#entries.get(ref);
    if (!entry) return false;
    if (retryAfter && code === "rate_limited") {
      entry.sentAt = 0;
      this.#heldUntil = Date.now() + retryAfter * 1000;
      this.#pump();
    } else {
      this.#fail(entry, data);
    }
    return true;
  }

  /** The connection was closed because of something sent on it: do not send that again by ourselves. */
  refuseSent() {
    for (const entry of [...this.#entries.values()]) {
      if (entry.sentAt) this.#fail(entry, this.#texts.get("not_taken"));
    }
  }

  #pump() {
    clearTimeout(this.#pumpTimer);
    const now = Date.now();
    this.#allowance = Math.min(BURST, this.#allowance + ((now - this.#filledAt) / 1000) * PER_SECOND);
    this.#filledAt = now;
    for (const entry of this.#entries.values()) {
      if (entry.sentAt) continue;
      const wait = Math.max(this.#heldUntil - now, ((1 - this.#allowance) / PER_SECOND) * 1000);
      if (wait > 0) {
        this.#pumpTimer = setTimeout(() => this.#pump(), wait + 5);
        return;
      }
      if (!this.#send(entry)) return;
      this.#allowance--;
    }
  }

  #send(entry) {
    const { message, conversation } = entry;
    const frame = conversation.isRoom
      ? { type: MessageType.GROUP_CHAT, data: message.text, id: message.id }
      : { type: MessageType.SINGLE_CHAT, to: conversation.person.username, data: message.text, id: message.id };
    if (!this.#connection.send(frame)) return false;
    const sentAt = (entry.sentAt = Date.now());
    setTimeout(() => this.#unanswered(entry, sentAt), ANSWER_TIMEOUT);
    return true;
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
    const kept = entries.map(({ message: { id, text, ts }, conversation: { person } }) => ({ id, text, ts, person }));
    this.#kept.set("outbox", kept.length ? kept : null);
  }

  #changed({ message, conversation }) {
    this.dispatchEvent(new CustomEvent("change", { detail: { message, conversation } }));
  }
}
