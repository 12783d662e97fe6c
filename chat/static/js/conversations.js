import { Conversation } from "./conversation.js";
import { shownPerson } from "./message_reader.js";
import { directRoom, isDirect, LOBBY, otherEnd } from "./protocol.js";

/** All conversations that the page knows: the rooms one is in, the people one wrote with, and what one looks at. */
export class Conversations {
  #me;
  #texts;
  #collator;
  #isWatched;
  /** @type {Map<string, Conversation>} */
  #byName = new Map();
  /** Whether the server has told which ones there are. */
  known = false;
  /**
   * The invitations that wait for an answer, the newest first.
   * @type {import("./types").Invitation[]}
   */
  invitations = [];

  constructor(me, texts, isWatched) {
    this.#me = me;
    this.#texts = texts;
    this.#isWatched = isWatched;
    this.#collator = new Intl.Collator(texts.locale, { sensitivity: "base", numeric: true });
    this.lobby = this.#add(LOBBY);
    this.lobby.role = "member";
    this.current = this.lobby;
  }

  get all() {
    return [...this.#byName.values()];
  }

  /** The rooms one is in: the lobby, then by name. */
  get rooms() {
    const rooms = this.all.filter((one) => one.isRoom && one.isMember && one !== this.lobby);
    rooms.sort((a, b) => this.#collator.compare(a.title, b.title));
    return [this.lobby, ...rooms];
  }

  /** The people one wrote with, the newest first. */
  get people() {
    return this.all.filter((one) => !one.isRoom).sort((a, b) => b.lastAt - a.lastAt);
  }

  get unread() {
    return this.all.reduce((sum, conversation) => sum + conversation.unread, 0);
  }

  get(name) {
    return this.#byName.get(name);
  }

  /** The conversation with a person, if there is one. */
  find(person) {
    return this.#byName.get(directRoom(this.#me.id, person.id));
  }

  /** What a conversation is called on the page. */
  titleOf(conversation) {
    if (conversation === this.lobby) return this.#texts.get("room");
    return conversation.person?.username ?? (conversation.title || conversation.name);
  }

  /** The conversation with a person, begun if there is none yet. */
  with(person) {
    const known = this.find(person);
    if (known) return known;
    const begun = this.#add(directRoom(this.#me.id, person.id), person);
    begun.lastAt = Date.now();
    return begun;
  }

  /** A room by its name, of which the server will yet tell more. */
  named(name) {
    return this.#byName.get(name) ?? this.#add(name);
  }

  /** The conversation that a direct message belongs to. */
  forDirect({ user, to, room }) {
    const known = this.#byName.get(room);
    if (known) return known;
    const mine = user.id === this.#me.id;
    return this.#add(room, mine ? { id: otherEnd(room, this.#me.id) ?? to, username: to } : user);
  }

  /** Take a room as the API describes it. */
  take(view) {
    const conversation = this.#byName.get(view.name) ?? this.#add(view.name, this.#personOf(view));
    if (view.peer) conversation.person = shownPerson(view.peer, this.#texts);
    conversation.describe(view);
    return conversation;
  }

  /** Take the whole list of one's rooms; return those that one is no longer in. */
  takeAll(views) {
    this.known = true;
    const named = new Set(views.map((view) => this.take(view).name));
    const gone = this.all.filter((one) => one.isRoom && one.isMember && one !== this.lobby && !named.has(one.name));
    for (const one of gone) this.lose(one);
    return gone;
  }

  /** One is not in this room any more. */
  lose(conversation) {
    conversation.role = null;
    if (conversation !== this.current) this.#byName.delete(conversation.name);
  }

  #personOf({ name, peer }) {
    if (!isDirect(name)) return null;
    const id = otherEnd(name, this.#me.id);
    if (peer) return shownPerson(peer, this.#texts);
    return { id, username: id === this.#me.id ? this.#me.username : this.#texts.get("gone_user") };
  }

  #add(name, person = null) {
    const conversation = new Conversation(name, { locale: this.#texts.locale, person, isWatched: this.#isWatched });
    this.#byName.set(name, conversation);
    return conversation;
  }
}
