import { Api } from "./api.js";
import { copy } from "./clipboard.js";
import { Connection } from "./connection.js";
import { Conversations } from "./conversations.js";
import { Days } from "./day.js";
import { on } from "./events.js";
import { FirstAnswers } from "./first_answers.js";
import { FrameBatch } from "./frame_batch.js";
import { History } from "./history.js";
import { Inbox } from "./inbox.js";
import { Members } from "./members.js";
import { MessageReader } from "./message_reader.js";
import { News } from "./news.js";
import { Outbox } from "./outbox.js";
import { Pace } from "./pace.js";
import { Permalinks } from "./permalink.js";
import { ReadMarks } from "./read_marks.js";
import { Reading } from "./reading.js";
import { RoomActions } from "./room_actions.js";
import { RoomList } from "./room_list.js";
import { siteHeaders } from "./site_headers.js";
import { Subscriptions } from "./subscriptions.js";
import { Texts } from "./texts.js";
import { TokenSource } from "./token_source.js";
import { View } from "./view.js";
import { Visits } from "./visits.js";
import { Writing } from "./writing.js";

/** States in which nothing written would ever be sent. */
const ENDED = new Set(["signed_out", "other_user", "kicked"]);

/**
 * The chat in one element: makes the parts, and connects them.
 *
 * `root` is a document or a shadow root that holds the markup of templates/flask_chat/shell.html; `config` is what the server
 * wrote beside it. Events: `unread` with the number of all unread messages, `turned` with {room, at, title, step} when
 * another conversation or a message in it is looked at; `step` says whether one can go back from there.
 */
export class ChatApp extends EventTarget {
  #me;
  #texts;
  #links;
  #api;
  #connection;
  #conversations;
  #subscriptions;
  #roomList;
  #history;
  #members;
  #marks;
  #outbox;
  #inbox;
  #view;
  #reading;
  #news;
  #writing;
  #visits;
  #actions;

  /** `isShown` tells whether the element is to be seen; `remembers`, whether what is open beside it is kept. */
  constructor(root, config, { isShown = () => true, remembers = false } = {}) {
    super();
    this.#me = config.user;
    this.#texts = new Texts(config.strings, config.locale);
    this.#links = new Permalinks(config.pagePath, config.room);
    this.#makeModel(config);
    this.#makeView(root, config, isShown, remembers);
    this.#listenToServer();
    this.#listenToReader();
    this.#listenToRooms();
    this.#watchMidnight();
  }

  get links() {
    return this.#links;
  }

  /** Begin, in the lobby or at `place` {room, at}. */
  start({ focus = true, place = null } = {}) {
    this.#writing.pickUpLeftBehind();
    this.#roomList.load();
    this.visit(place ?? { room: this.#conversations.lobby.name }, { step: false, focus: focus && !isTouch() });
    this.#connection.start();
  }

  /** Turn to a place {room, at}. */
  visit(place, options) {
    this.#visits.visit(place, options);
  }

  /** The reader is back, or sees more than before: what is in sight is read. */
  lookedAt() {
    this.#reading.look();
  }

  focus() {
    this.#view.composer.focus();
  }

  /** @param {any} config */
  #makeModel({ socketPath, tokenPath, tokenHeaders, apiPath, locale, maxRooms, first }) {
    const me = this.#me;
    const texts = this.#texts;
    const pace = new Pace();
    const reader = new MessageReader(me, texts);
    const answers = new FirstAnswers(first?.answers);
    const headers = () => siteHeaders(tokenHeaders);
    const tokens = new TokenSource(tokenPath, me.id, first?.token, headers);
    const api = (this.#api = new Api({ path: apiPath, tokens, texts, language: locale, first: answers, headers }));
    const connection = (this.#connection = new Connection({ path: socketPath, language: locale, tokens }));
    const isWatched = (conversation) => this.#reading.isWatching(conversation);
    const conversations = (this.#conversations = new Conversations(me, texts, isWatched));
    const subscriptions = new Subscriptions({ connection, conversations, pace, most: maxRooms });
    const hears = (conversation) => subscriptions.hears(conversation);
    const outbox = new Outbox({ connection, texts, days: new Days(texts), pace, hears, userId: me.id });
    this.#subscriptions = subscriptions;
    this.#outbox = outbox;
    this.#marks = new ReadMarks(connection, pace);
    this.#inbox = new Inbox({ conversations, outbox, subscriptions, reader });
    const isFull = () => subscriptions.isFull;
    this.#roomList = new RoomList({ api, conversations, isFull, cameWithPage: answers.has(["rooms"]) });
    this.#history = new History({ api, reader });
    this.#members = new Members(api);
  }

  #makeView(root, config, isShown, remembers) {
    const parts = { texts: this.#texts, conversations: this.#conversations };
    const days = new Days(this.#texts);
    const shown = { config, api: this.#api, members: this.#members, links: this.#links, days, remembers };
    const view = (this.#view = new View(root, { ...parts, ...shown }));
    const reading = (this.#reading = new Reading({
      ...parts,
      history: this.#history,
      list: view.list,
      marks: this.#marks,
      isShown,
      isOnline: () => this.#connection.state === "online",
    }));
    const flow = { ...parts, outbox: this.#outbox, reading, view };
    this.#news = new News({ ...flow, subscriptions: this.#subscriptions, inbox: this.#inbox, history: this.#history });
    this.#writing = new Writing({ ...flow, me: this.#me });
    this.#visits = new Visits({
      ...flow,
      api: this.#api,
      roomList: this.#roomList,
      subscriptions: this.#subscriptions,
    });
    this.#actions = new RoomActions(root, { ...parts, api: this.#api, me: this.#me, mayCreate: config.createRooms });
  }

  #listenToServer() {
    const batch = new FrameBatch((messages) => this.#news.take(messages));
    on(this.#connection, "message", (message) => batch.push(message));
    on(this.#connection, "state", (state) => this.#connectionChanged(state));
    on(this.#connection, "refused", () => this.#outbox.refuseSent());
    on(this.#outbox, "unheard", (conversation) => this.#hearAgain(conversation));
    on(this.#news, "rooms", () => this.#roomList.soon());
    on(this.#news, "members", () => this.#readMembers());
    on(this.#news, "pick", (conversation) => this.#visits.turnTo(conversation));
    on(this.#view, "unread", (count) => this.dispatchEvent(new CustomEvent("unread", { detail: count })));
    on(this.#visits, "turned", (place) => this.#turned(place));
    on(this.#members, "change", () => this.#view.redraw("people"));
    on(this.#reading, "opened", ({ conversation, place }) => this.#view.show(conversation, place));
    on(this.#reading, "marks", () => this.#view.redraw("marks"));
  }

  #listenToReader() {
    const { list, composer, head, panel, people, search, side, status, drafts, toasts } = this.#view;
    on(status, "retry", () => this.#connection.retry());
    on(list, "retry", (message) => this.#writing.sendAgain(message));
    on(list, "discard", (message) => this.#writing.discard(message));
    on(list, "copy", (href) => this.#copy(href));
    on(list, "visit", (place) => this.visit(place));
    on(list, "moved", () => this.#reading.look());
    on(list, "scroll-state", () => this.#scrolled());
    on(list, "reload", () => this.#reading.reload());
    on(list, "older", () => this.#history.older(this.#current));
    on(list, "newer", () => this.#history.newer(this.#current));
    on(list, "missing", () => toasts.show(this.#texts.get("message_gone")));
    on(head, "jump", () => this.#reading.toNewest());
    on(composer, "send", (text) => this.#writing.send(text));
    on(composer, "draft", (text) => drafts.set(this.#current.name, text));
    on(panel, "pick", (conversation) => this.#visits.turnTo(conversation));
    on(panel, "reload", () => this.#roomList.load());
    on(people, "pick", (person) => this.#visits.turnTo(this.#conversations.with(person)));
    on(people, "manage", (person) =>
      this.#actions.manage(this.#current, this.#members.of(this.#current).people.get(person.id)),
    );
    on(people, "more", () => this.#members.more(this.#view.peopled));
    on(search, "visit", (place) => this.visit(place));
    on(side, "view", () => this.#readMembers());
    addEventListener("focus", () => this.lookedAt());
    document.addEventListener("visibilitychange", () => this.lookedAt());
  }

  #listenToRooms() {
    const { menu, people, joinBar, toasts, invitations } = this.#view;
    on(invitations, "accept", (invitation) => this.#actions.accept(invitation));
    on(invitations, "decline", (invitation) => this.#actions.decline(invitation));
    on(menu, "copy", () => this.#copy(this.#links.to(this.#current.name)));
    on(menu, "about", () => this.#actions.describe(this.#current));
    on(menu, "invite", () => this.#actions.invite(this.#current));
    on(menu, "leave", () => this.#actions.leave(this.#current));
    on(people, "invite", () => this.#actions.invite(this.#current));
    on(joinBar, "join", () => this.#actions.join(this.#current));
    on(this.#roomList, "change", (gone) => this.#roomsChanged(gone));
    on(this.#subscriptions, "refused", ({ conversation, sentence }) => this.#shutOut(conversation, sentence));
    on(this.#history, "gone", (conversation) => this.#lost(conversation, this.#texts.get("no_such_room")));
    on(this.#actions, "open", (conversation) => this.#visits.turnTo(conversation));
    on(this.#actions, "left", (conversation) => this.#lost(conversation));
    on(this.#actions, "changed", () => this.#roomList.reload());
    on(this.#actions, "people", () => this.#members.load(this.#current));
    on(this.#actions, "say", (sentence) => toasts.show(sentence));
  }

  get #current() {
    return this.#conversations.current;
  }

  #turned(place) {
    this.#readMembers();
    this.dispatchEvent(new CustomEvent("turned", { detail: place }));
  }

  #connectionChanged(state) {
    this.#view.status.show(state);
    this.#view.head.showConnection(state.name);
    this.#view.hasEnded = ENDED.has(state.name);
    if (state.name !== "online") return this.#roomList.disconnected();
    // What was heard of the connection before is in place by now, and tells the server where to go on.
    this.#subscriptions.restart();
    this.#outbox.restart();
    this.#marks.resume();
    // A Join brings what was missed in a room. In a direct conversation only the list shows it.
    this.#roomList.connected({ canWait: this.#current.isRoom });
    this.#reading.resume();
  }

  #roomsChanged(gone) {
    const putOut = ({ title: name, leaving }) => (leaving ? null : this.#texts.get("put_out", { name }));
    for (const conversation of gone) this.#lost(conversation, putOut(conversation));
    if (this.#connection.state === "online") this.#subscriptions.joinAll();
    for (const conversation of this.#conversations.all) {
      this.#reading.tend(conversation);
      if (this.#conversations.known && !conversation.isMember) {
        this.#outbox.giveUp(conversation, this.#texts.get("no_such_room"));
      }
    }
    this.#view.failure = this.#roomList.failure;
    this.#view.redraw("log", "marks", "people");
  }

  /** One is in a room no more, and `sentence` says why, unless it was one's own doing. */
  #lost(conversation, sentence = null) {
    const wasHere = conversation === this.#current;
    this.#subscriptions.leave(conversation.name);
    this.#outbox.giveUp(conversation, sentence ?? "");
    if (wasHere) this.#visits.turnTo(this.#conversations.lobby, { step: false });
    this.#conversations.lose(conversation);
    if (wasHere && sentence) this.#view.notice.show(sentence);
    this.#view.redraw("marks");
  }

  /** The server would not let us hear a room. */
  #shutOut(conversation, sentence) {
    this.#roomList.soon();
    if (conversation === this.#current) this.#view.notice.show(sentence);
  }

  #hearAgain(conversation) {
    this.#subscriptions.lost(conversation.name);
    this.#subscriptions.join(conversation);
  }

  #readMembers() {
    if (this.#view.side.view === "people") this.#members.load(this.#view.peopled);
  }

  async #copy(href) {
    const done = await copy(href);
    this.#view.toasts.show(done ? this.#texts.get("copied") : href);
  }

  #scrolled() {
    this.lookedAt();
    this.#view.redraw("marks");
  }

  #watchMidnight() {
    let today = new Date().getDate();
    setInterval(() => {
      if (today === new Date().getDate()) return;
      today = new Date().getDate();
      this.#view.list.relabelDays();
    }, 30_000);
  }
}

function isTouch() {
  return matchMedia("(pointer: coarse)").matches;
}
