import { LOBBY, MessageType } from "./protocol.js";

/** Errors that end the connection: its state says them in words. */
const OF_THE_CONNECTION = /^(token_|kicked|banned|flooding|server_full|too_many_for_)/;

/**
 * Turns what the server says into changes of the conversations, their rosters and the outbox.
 *
 * `take` gets a batch of server messages and returns what came of it: {conversations: Set of those in which something
 * was said, rosters: Set, marks: boolean, rooms: boolean (the list of rooms is another), lost: [conversation], arrivals:
 * [{conversation, message}], invitations: [message] of those that have just come, updated: Set of rooms'
 * names that are other than before, complaints: [sentence]}; the caller draws it once.
 */
export class Inbox {
  #conversations;
  #outbox;
  #subscriptions;
  #reader;
  #changes;
  #handlers = {
    [MessageType.ERROR]: (message) => this.#error(message),
    [MessageType.GROUP_LIST]: (message) => this.#list(message),
    [MessageType.GROUP_CHAT]: (message) => this.#group(message),
    [MessageType.SINGLE_CHAT]: (message) => this.#direct(message),
    [MessageType.ACK]: (message) => this.#ack(message),
    [MessageType.ROSTER_DIFF]: (message) => this.#diff(message),
    [MessageType.LEAVE]: (message) => this.#leave(message),
    [MessageType.SYNCED]: (message) => this.#subscriptions.synced(message),
    [MessageType.READ]: (message) => this.#read(message),
    [MessageType.ROOMS]: (message) => this.#rooms(message),
    [MessageType.INVITATION]: (message) => this.#invitation(message),
  };

  constructor({ conversations, outbox, subscriptions, reader }) {
    this.#conversations = conversations;
    this.#outbox = outbox;
    this.#subscriptions = subscriptions;
    this.#reader = reader;
  }

  take(batch) {
    this.#changes = {
      conversations: new Set(),
      rosters: new Set(),
      marks: false,
      rooms: false,
      lost: [],
      arrivals: [],
      invitations: [],
      updated: new Set(),
      complaints: [],
    };
    for (const message of batch) this.#handlers[message.type]?.(message);
    return this.#changes;
  }

  #error(message) {
    const { ref, code, data } = message;
    // The list of rooms says who that was.
    if (code === "account_deleted") this.#changes.rooms = true;
    if (ref !== undefined && (this.#outbox.refuse(message) || this.#subscriptions.refuse(message))) return;
    if (!OF_THE_CONNECTION.test(code)) this.#changes.complaints.push(String(data));
  }

  #list({ room = LOBBY, data }) {
    this.#ofRoom(room, (conversation) => conversation.roster.reset(JSON.parse(data)));
  }

  #diff({ room = LOBBY, joined, left }) {
    this.#ofRoom(room, (conversation) => conversation.roster.change(joined, left));
  }

  #ofRoom(room, change) {
    const conversation = this.#conversations.get(room);
    if (!conversation) return;
    change(conversation);
    this.#changes.rosters.add(conversation);
  }

  #group(message) {
    // The greeting of each connection has no id; the page has its own words for a newcomer.
    if (!message.user && !message.id) return;
    const conversation = this.#conversations.get(message.room ?? LOBBY);
    if (conversation) this.#arrive(conversation, message);
  }

  /** A direct message; what the house says to us alone has no conversation and stands in the lobby. */
  #direct(message) {
    if (message.user) this.#arrive(this.#conversations.forDirect(message), message);
    else this.#arrive(this.#conversations.lobby, { ...message, seq: undefined, private: true });
  }

  #ack({ ref, room, seq, ts }) {
    const conversation = this.#conversations.get(room);
    this.#outbox.confirm(ref, { seq, ts });
    if (!conversation || !seq) return;
    conversation.hear({ seq, ts: ts ?? 0, own: true });
    this.#changes.conversations.add(conversation);
    this.#changes.marks = true;
  }

  #leave({ room }) {
    this.#subscriptions.lost(room);
    const conversation = this.#conversations.get(room);
    if (conversation) this.#changes.lost.push(conversation);
  }

  #rooms({ room, change }) {
    this.#changes.rooms = true;
    if (change === "updated") this.#changes.updated.add(room);
  }

  #invitation(message) {
    this.#changes.rooms = true;
    if (message.change === "invited") this.#changes.invitations.push(message);
  }

  #read(message) {
    this.#conversations.get(message.room)?.readElsewhere(message);
    this.#changes.marks = true;
  }

  #arrive(conversation, wire) {
    const message = this.#reader.read(wire);
    if (message.own) this.#outbox.confirm(message.id, message);
    if (!message.seq && !message.private) keepsNothing(conversation);
    const isNews = conversation.hear(message);
    conversation.timeline.live(message);
    this.#changes.conversations.add(conversation);
    this.#changes.marks = true;
    if (isNews) this.#changes.arrivals.push({ conversation, message });
  }
}

/** What comes without a seq is kept nowhere: the page is all there is. */
function keepsNothing(conversation) {
  conversation.ephemeral = true;
  conversation.timeline.startEmpty();
}
