import { MessageType } from "./protocol.js";

/** Put into a batch where a new connection begins: its seq may have begun anew. */
export const CONNECTED = "connected";

/** Errors that end the connection: its state says them in words. */
const OF_THE_CONNECTION = /^(token_|kicked|banned|flooding|server_full|too_many_)/;

/**
 * Turns what the server says into changes of the roster, the conversations and the outbox.
 *
 * `take` gets a batch of server messages and returns what came of it: {conversations: Set, roster: boolean,
 * arrivals: [{conversation, message}], complaints: [sentence]}; the caller draws it once.
 */
export class Inbox {
  #me;
  #roster;
  #conversations;
  #outbox;
  #mention;
  #era = 0;
  #changes;
  #handlers = {
    [CONNECTED]: () => this.#era++,
    [MessageType.ERROR]: (message) => this.#error(message),
    [MessageType.GROUP_LIST]: (message) => this.#list(message),
    [MessageType.GROUP_CHAT]: (message) => this.#group(message),
    [MessageType.SINGLE_CHAT]: (message) => this.#direct(message),
    [MessageType.ACK]: (message) => this.#outbox.confirm(message.ref, message, this.#era),
    [MessageType.ROSTER_DIFF]: (message) => this.#diff(message),
  };

  constructor({ me, roster, conversations, outbox }) {
    this.#me = me;
    this.#roster = roster;
    this.#conversations = conversations;
    this.#outbox = outbox;
    this.#mention = mentionOf(me.username);
  }

  take(batch) {
    this.#changes = { conversations: new Set(), roster: false, arrivals: [], complaints: [] };
    for (const message of batch) this.#handlers[message.type]?.(message);
    return this.#changes;
  }

  #error(message) {
    if (message.ref !== undefined && this.#outbox.refuse(message)) return;
    if (!OF_THE_CONNECTION.test(message.code)) this.#changes.complaints.push(String(message.data));
  }

  #list({ data }) {
    this.#roster.reset(JSON.parse(data));
    this.#changes.roster = true;
  }

  #diff({ joined, left }) {
    this.#roster.change(joined, left);
    this.#changes.roster = true;
  }

  #group(message) {
    // The greeting of each connection has no id; the page has its own words for a newcomer.
    if (!message.user && !message.id) return;
    this.#arrive(this.#conversations.lobby, message);
  }

  /** A direct message; what the house says to us alone has no conversation and stands in the lobby. */
  #direct(message) {
    if (message.user) this.#arrive(this.#conversations.forDirect(message), message);
    else this.#arrive(this.#conversations.lobby, { ...message, seq: undefined, private: true });
  }

  #arrive(conversation, wire) {
    const message = this.#read(wire);
    const missed = conversation.heard(wire.seq, this.#era);
    if (conversation.knows(message)) return;
    if (missed) conversation.add(noteOfMissed(missed, message));
    conversation.add(message);
    this.#changes.conversations.add(conversation);
    this.#changes.arrivals.push({ conversation, message });
  }

  #read({ user, data, id, seq, ts, private: isPrivate }) {
    const own = user?.id === this.#me.id;
    return {
      id,
      user,
      text: String(data),
      ts: Number.isFinite(ts) ? ts : Date.now(),
      seq,
      era: this.#era,
      own,
      state: "sent",
      private: isPrivate,
      mention: !own && this.#mention.test(data),
    };
  }
}

/** The line that says how many messages never arrived before this one. */
function noteOfMissed(count, { ts, seq, era }) {
  return { note: "missed", count, ts, id: `missed-${era}-${seq}`, state: "sent" };
}

/** Matches @name, not @name2 nor @names; Chinese text may follow at once. */
function mentionOf(username) {
  const name = username.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`[@＠]${name}(?![\\p{Script=Latin}\\p{N}_-])`, "iu");
}
