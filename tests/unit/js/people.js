/** Conversations and messages for the tests of the models. */
import { Conversations } from "../../../chat/static/js/conversations.js";
import { texts } from "./page.js";

export const ANN = { id: "1", username: "Ann" };
export const BEN = { id: "2", username: "Ben" };

/** Ann's conversations. */
export function conversationsOf(isWatched = () => false) {
  return new Conversations(ANN, texts, isWatched);
}

/** A room as the API shows it. */
export function room(name, fields = {}) {
  const view = { name, title: name, topic: "", kind: "public", ephemeral: false, epoch: "e1", first_seq: 1 };
  return { ...view, last_seq: 0, last_at: 0, role: "member", read_seq: 0, mentions: 0, peer: null, ...fields };
}

/** Ben's message with that seq, as the page works with it. */
export function message(seq, fields = {}) {
  const sent = { id: `b${seq}`, user: BEN, text: `message ${seq}`, ts: seq, seq, own: false, state: "sent" };
  return { ...sent, ...fields };
}

/** Ben's messages with these seqs. */
export function messages(first, last) {
  return Array.from({ length: last - first + 1 }, (_, index) => message(first + index));
}

/** A new message of Ann. */
export function ownMessage(id, text = id) {
  return { id, user: ANN, text, ts: Date.now(), own: true, state: "pending", error: null };
}

/** The seqs of the messages shown; the id of a message without one. */
export function shown(timeline) {
  return timeline.messages.map(({ seq, id }) => seq ?? id);
}
