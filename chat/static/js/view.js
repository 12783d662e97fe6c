import { Composer } from "./composer.js";
import { ConnectionStatus } from "./connection_status.js";
import { ConversationPanel } from "./conversation_panel.js";
import { Drafts } from "./drafts.js";
import { Drawer } from "./drawer.js";
import { InvitationList } from "./invitation_list.js";
import { JoinBar } from "./join_bar.js";
import { MessageList } from "./message_list.js";
import { Notice } from "./notice.js";
import { Notifier } from "./notifier.js";
import { PeoplePanel } from "./people_panel.js";
import { RoomHead } from "./room_head.js";
import { RoomMenu } from "./room_menu.js";
import { SearchPanel } from "./search_panel.js";
import { SidePanel } from "./side_panel.js";
import { Toasts } from "./toasts.js";

/**
 * Everything that is seen: makes the parts, and draws those again of which something changed, together, before the next
 * frame. It changes nothing but the page.
 *
 * Event: `unread` with the number of all unread messages, whenever that is another.
 */
export class View extends EventTarget {
  #conversations;
  #members;
  #failure = null;
  #toDraw = new Set();
  /** Whether there is a conversation to look at yet. */
  isShown = false;
  #hasEnded = false;
  #unread = 0;

  constructor(root, { config, texts, api, conversations, members, days, links, remembers }) {
    super();
    const { user: me, maxChars, loginPath } = config;
    const titleOf = (room) => this.#titleOf(room);
    this.#conversations = conversations;
    this.#members = members;
    this.list = new MessageList(root, { texts, days, links });
    this.composer = new Composer(root, { limit: maxChars, texts });
    this.joinBar = new JoinBar(root, { texts });
    this.panel = new ConversationPanel(root, { texts });
    this.invitations = new InvitationList(root, { texts });
    this.people = new PeoplePanel(root, { texts, me });
    this.search = new SearchPanel(root, { texts, days, api, links, titleOf });
    this.side = new SidePanel(root, { userId: me.id, remembers });
    this.head = new RoomHead(root, { texts, me });
    this.menu = new RoomMenu(root);
    this.drawer = new Drawer(root, { texts });
    this.status = new ConnectionStatus(root, { texts, loginPath });
    this.notifier = new Notifier(root, { texts, userId: me.id });
    this.notice = new Notice(root);
    this.toasts = new Toasts(root, { texts });
    this.drafts = new Drafts(me.id);
    this.#enable();
    this.panel.addEventListener("filter", () => this.redraw("marks"));
    this.people.addEventListener("changed", () => this.redraw("people"));
    this.side.addEventListener("view", () => this.redraw("people"));
  }

  /** Why the list of rooms could not be had, or null. */
  set failure(sentence) {
    this.#failure = sentence;
    this.redraw("marks");
  }

  /** Whose people are shown: while one speaks with a single person, the lobby's. */
  get peopled() {
    const { current, lobby } = this.#conversations;
    return current.isRoom ? current : lobby;
  }

  /** Whether nothing that is written would ever be sent. */
  set hasEnded(hasEnded) {
    this.#hasEnded = hasEnded;
    this.#enable();
  }

  /** Turn to a conversation, at a place in it as MessageList.go takes it. */
  show(conversation, place) {
    const title = this.#conversations.titleOf(conversation);
    const isLobby = conversation === this.#conversations.lobby;
    this.list.show(conversation, this.head.emptyState(conversation, title), place);
    this.composer.turnTo(this.head.placeholder(conversation, title, isLobby), this.drafts.get(conversation.name));
    this.people.reset();
    this.search.turnTo(conversation);
    this.isShown = true;
    this.#enable();
    this.redraw("people", "marks");
  }

  #enable() {
    this.composer.enabled = this.isShown && !this.#hasEnded;
  }

  /** Draw these parts again: "log" for what was said now, "history" for what was said before, "people", "marks". */
  redraw(...parts) {
    if (!this.#toDraw.size) queueMicrotask(() => this.#draw());
    for (const name of parts) this.#toDraw.add(name);
  }

  #draw() {
    const parts = new Set(this.#toDraw);
    this.#toDraw.clear();
    if (parts.has("log") || parts.has("history")) this.list.render({ quiet: parts.has("history") });
    if (parts.has("people")) this.#drawPeople();
    if (parts.has("marks")) this.#drawMarks();
  }

  #drawPeople() {
    const conversation = this.peopled;
    const members = this.#members.of(conversation);
    const isPresent = (person) => this.#isPresent(person);
    const unreadOf = (person) => this.#conversations.find(person)?.unread ?? 0;
    this.people.render({ conversation, members, unreadOf, isPresent });
  }

  #drawMarks() {
    const { current, rooms, people, known, unread, lobby, invitations } = this.#conversations;
    const title = this.#conversations.titleOf(current);
    const isPresent = (person) => this.#isPresent(person);
    const describe = (one) => ({
      title: this.#conversations.titleOf(one),
      isPresent: Boolean(one.person) && this.#isPresent(one.person),
    });
    const looked = this.isShown ? current : null;
    this.panel.render({ rooms, people, current: looked, describe, known, failure: this.#failure });
    this.invitations.render(invitations);
    if (!looked) return;
    this.head.render({ conversation: current, title, isPresent, atNewest: this.list.atNewest });
    this.menu.render(current, current === lobby);
    this.joinBar.render(current, title);
    this.drawer.showUnread(unread - current.unread, invitations.length);
    if (unread === this.#unread) return;
    this.#unread = unread;
    this.redraw("people");
    this.dispatchEvent(new CustomEvent("unread", { detail: unread }));
  }

  #isPresent(person) {
    return this.#conversations.lobby.roster.has(person);
  }

  #titleOf(room) {
    const conversation = this.#conversations.get(room);
    return conversation ? this.#conversations.titleOf(conversation) : room;
  }
}
