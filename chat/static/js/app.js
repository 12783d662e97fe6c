import { Composer } from "./composer.js";
import { Connection } from "./connection.js";
import { ConnectionStatus } from "./connection_status.js";
import { ConversationPanel } from "./conversation_panel.js";
import { Conversations } from "./conversations.js";
import { Days } from "./day.js";
import { Drafts } from "./drafts.js";
import { Drawer } from "./drawer.js";
import { FrameBatch } from "./frame_batch.js";
import { CONNECTED, Inbox } from "./inbox.js";
import { MessageList } from "./message_list.js";
import { Notifier } from "./notifier.js";
import { Outbox } from "./outbox.js";
import { newId } from "./protocol.js";
import { RoomHead } from "./room_head.js";
import { Roster } from "./roster.js";
import { RosterPanel } from "./roster_panel.js";
import { Texts } from "./texts.js";
import { Toasts } from "./toasts.js";
import { TokenSource } from "./token_source.js";

/** States in which nothing written would ever be sent. */
const ENDED = new Set(["signed_out", "other_user", "kicked"]);

/**
 * The chat in one element: makes the parts, and carries news from each to those it concerns.
 *
 * `root` is a document or a shadow root that holds the markup of templates/chat/shell.html; `config` is what the
 * server wrote beside it. Event: `unread` with the number of all unread messages.
 */
export class ChatApp extends EventTarget {
  #me;
  #texts;
  #isShown;
  #connection;
  #conversations;
  #roster;
  #outbox;
  #inbox;
  #drafts;
  #list;
  #composer;
  #rosterPanel;
  #conversationPanel;
  #head;
  #drawer;
  #status;
  #notifier;
  #toasts;
  #toDraw = new Set();
  #unread = 0;

  constructor(root, config, { isShown = () => true } = {}) {
    super();
    this.#me = config.user;
    this.#isShown = isShown;
    this.#texts = new Texts(config.strings, config.locale);
    this.#makeModel(config);
    this.#makeViews(root, config);
    this.#listen();
  }

  start({ focus = true } = {}) {
    this.#pickUpLeftBehind();
    this.#show(this.#conversations.current);
    this.#connection.start();
    if (focus && !isTouch()) this.#composer.focus();
  }

  /** The reader is back, or sees more than before: what is in sight is read. */
  lookedAt() {
    const { current } = this.#conversations;
    if (!current.unread || !this.#isReading(current)) return;
    current.read();
    this.#redraw("marks");
  }

  focus() {
    this.#composer.focus();
  }

  #makeModel({ socketPath, tokenPath, locale }) {
    const tokens = new TokenSource(tokenPath, this.#me.id);
    this.#connection = new Connection({ path: socketPath, language: locale, tokens });
    this.#conversations = new Conversations(this.#me);
    this.#roster = new Roster(this.#texts.locale);
    this.#outbox = new Outbox(this.#connection, this.#texts, this.#me.id);
    this.#drafts = new Drafts(this.#me.id);
    this.#inbox = new Inbox({
      me: this.#me,
      roster: this.#roster,
      conversations: this.#conversations,
      outbox: this.#outbox,
    });
  }

  #makeViews(root, { maxChars, loginPath }) {
    const texts = this.#texts;
    this.#list = new MessageList(root, { texts, days: new Days(texts) });
    this.#composer = new Composer(root, { limit: maxChars, texts });
    this.#rosterPanel = new RosterPanel(root, { texts, me: this.#me, changed: () => this.#redraw("people") });
    this.#conversationPanel = new ConversationPanel(root, { texts });
    this.#head = new RoomHead(root, { texts, me: this.#me });
    this.#drawer = new Drawer(root, { texts });
    this.#status = new ConnectionStatus(root, { texts, loginPath });
    this.#notifier = new Notifier(root, { texts, userId: this.#me.id });
    this.#toasts = new Toasts(root, { texts });
  }

  #listen() {
    const batch = new FrameBatch((messages) => this.#received(messages));
    on(this.#connection, "message", (message) => batch.push(message));
    on(this.#connection, "state", (state) => this.#connectionChanged(state, batch));
    on(this.#connection, "refused", () => this.#outbox.refuseSent());
    on(this.#status, "retry", () => this.#connection.retry());
    on(this.#outbox, "change", ({ conversation }) => this.#messagesChanged(conversation));
    on(this.#list, "retry", (message) => this.#sendAgain(message));
    on(this.#list, "discard", (message) => this.#discard(message));
    on(this.#list, "scroll-state", () => this.#scrolled());
    on(this.#head, "jump", () => this.#list.toNewest());
    on(this.#composer, "send", (text) => this.#send(text));
    on(this.#composer, "draft", (text) => this.#drafts.set(this.#conversations.current.key, text));
    on(this.#rosterPanel, "pick", (person) => this.#pick(this.#conversations.with(person)));
    on(this.#conversationPanel, "pick", (conversation) => this.#pick(conversation));
    addEventListener("focus", () => this.lookedAt());
    document.addEventListener("visibilitychange", () => this.lookedAt());
    this.#watchMidnight();
  }

  #connectionChanged(state, batch) {
    this.#status.show(state);
    this.#head.showConnection(state.name);
    this.#composer.enabled = !ENDED.has(state.name);
    if (state.name !== "online") return;
    batch.push({ type: CONNECTED });
    this.#outbox.resend();
  }

  #received(batch) {
    const { conversations, roster, arrivals, complaints } = this.#inbox.take(batch);
    for (const { conversation, message } of arrivals) this.#arrived(conversation, message);
    for (const sentence of complaints) this.#toasts.show(sentence);
    if (conversations.has(this.#conversations.current)) this.#redraw("log");
    if (arrivals.length) this.#redraw("marks");
    if (roster) this.#redraw("people", "marks");
  }

  #arrived(conversation, message) {
    if (conversation.person && !message.own) this.#conversations.touch(conversation);
    if (message.own || this.#isReading(conversation)) return;
    conversation.countUnread(message);
    if (conversation.person && conversation !== this.#conversations.current) {
      this.#list.announce(this.#texts.get("message_from", { name: conversation.person.username }));
    }
    const away = document.hidden || !document.hasFocus();
    if (away && (conversation.person || message.mention)) this.#notify(conversation, message);
  }

  #notify(conversation, { user, text }) {
    const title = conversation.person ? user.username : this.#texts.get("in_room", { name: user.username });
    this.#notifier.tell(title, text, `chat:${conversation.key}`, () => this.#pick(conversation));
  }

  #isReading(conversation) {
    const here = !document.hidden && document.hasFocus() && this.#isShown();
    return here && conversation === this.#conversations.current && this.#list.atNewest;
  }

  #send(text) {
    const conversation = this.#conversations.current;
    const message = { id: newId(), user: this.#me, text, ts: Date.now(), own: true, state: "pending" };
    conversation.unreadFrom = null;
    conversation.add(message);
    this.#outbox.add(message, conversation);
    this.#conversations.touch(conversation);
    this.#list.pin();
    this.#redraw("log", "marks");
  }

  /** What a reload interrupted goes on its way again. */
  #pickUpLeftBehind() {
    for (const { id, text, ts, person } of this.#outbox.leftBehind) {
      const conversation = person ? this.#conversations.with(person) : this.#conversations.lobby;
      const message = { id, user: this.#me, text, ts, own: true, state: "pending" };
      conversation.add(message);
      this.#outbox.add(message, conversation);
    }
  }

  #sendAgain(message) {
    const conversation = this.#conversations.current;
    Object.assign(message, { state: "pending", error: null, ts: Date.now() });
    conversation.replace(message);
    this.#outbox.add(message, conversation);
    this.#redraw("log");
    this.#composer.focus();
  }

  #discard(message) {
    this.#conversations.current.remove(message);
    this.#redraw("log");
    this.#composer.focus();
  }

  #messagesChanged(conversation) {
    if (conversation === this.#conversations.current) this.#redraw("log");
  }

  #scrolled() {
    this.lookedAt();
    this.#redraw("marks");
  }

  #pick(conversation) {
    const last = this.#conversations.current;
    if (conversation !== last) {
      if (!last.unread) last.unreadFrom = null;
      this.#conversations.current = conversation;
      this.#show(conversation);
    }
    this.#drawer.close({ refocus: false });
    // On a phone the keyboard should not jump up before one wants to write.
    if (isTouch()) this.#head.focus();
    else this.#composer.focus();
  }

  #show(conversation) {
    this.#list.show(conversation, this.#head.emptyState(conversation));
    this.#composer.turnTo(this.#head.placeholder(conversation), this.#drafts.get(conversation.key));
    this.lookedAt();
    this.#redraw("people", "marks");
  }

  /** Draw what changed, together, before the next frame. */
  #redraw(...parts) {
    if (!this.#toDraw.size) queueMicrotask(() => this.#draw());
    for (const name of parts) this.#toDraw.add(name);
  }

  #draw() {
    const parts = new Set(this.#toDraw);
    this.#toDraw.clear();
    if (parts.has("log")) this.#list.render();
    if (parts.has("people")) this.#drawPeople();
    if (parts.has("marks")) this.#drawMarks();
  }

  #drawPeople() {
    this.#rosterPanel.render({
      people: this.#roster.people,
      unreadOf: (person) => this.#conversations.find(person)?.unread ?? 0,
    });
  }

  #drawMarks() {
    const { all, current, unread } = this.#conversations;
    const isPresent = (person) => this.#roster.has(person);
    this.#conversationPanel.render({ conversations: all, current, isPresent });
    this.#head.render({ conversation: current, people: this.#roster.size, isPresent, atNewest: this.#list.atNewest });
    this.#drawer.showUnread(unread - current.unread);
    if (unread === this.#unread) return;
    this.#unread = unread;
    this.#drawPeople();
    this.dispatchEvent(new CustomEvent("unread", { detail: unread }));
  }

  #watchMidnight() {
    let today = new Date().getDate();
    setInterval(() => {
      if (today === new Date().getDate()) return;
      today = new Date().getDate();
      this.#list.relabelDays();
    }, 30_000);
  }
}

function isTouch() {
  return matchMedia("(pointer: coarse)").matches;
}

function on(source, type, handler) {
  source.addEventListener(type, (event) => handler(event.detail));
}
