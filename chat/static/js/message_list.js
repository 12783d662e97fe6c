import { part } from "./dom.js";
import { HistoryEdge } from "./history_edge.js";
import { LiveRegion } from "./live_region.js";
import { LogState } from "./log_state.js";
import { MessageView } from "./message_view.js";
import { RovingFocus } from "./roving_focus.js";
import { ScrollKeeper } from "./scroll_keeper.js";

/** Messages of one author within this time stand together under one name. */
const GROUP_WITHIN = 5 * 60_000;
/** More messages are requested when a reader who scrolls is within this many heights of the log of an end of the window. */
const AHEAD = 1.5;
/** How far down the log, as a part of its height, one lands: on a message, and on the line before what is new. */
const AT_MESSAGE = 0.3;
const AT_LINE = 0.12;

/**
 * The log on the page: shows one conversation's window, and brings itself up to date with `render`.
 *
 * Events: `retry` and `discard` with the message, `copy` with it, `visit` with the address of a message that was clicked,
 * `older`, `newer` and `reload` when more is wanted, `moved` when other messages are in sight, `scroll-state` when the
 * newest comes into sight or leaves it, `missing` when the message to land on is not there.
 */
export class MessageList extends EventTarget {
  #log;
  #messages;
  #texts;
  #days;
  #links;
  #scroll;
  #live;
  #state;
  #edges;
  #roving;
  /** @type {any} the Conversation that is shown; whatever draws one is called after `show` */
  #conversation = null;
  #emptyState = [];
  /** @type {Map<import("./types").Message, MessageView>} */
  #views = new Map();
  /** @type {import("./types").Spot | null} */
  #place = null;
  /** @type {MessageView | null} the message that one landed on */
  #found = null;

  constructor(root, { texts, days, links }) {
    super();
    this.#log = part(root, "log");
    this.#messages = part(root, "messages");
    this.#texts = texts;
    this.#days = days;
    this.#links = links;
    this.#scroll = new ScrollKeeper(this.#log, {
      changed: () => this.#emit("scroll-state"),
      moved: () => this.#moved(),
    });
    this.#live = new LiveRegion(this.#log, part(root, "announcer"), texts);
    this.#state = new LogState(root, { texts });
    this.#edges = {
      older: new HistoryEdge(part(root, "older"), { texts, key: "older" }),
      newer: new HistoryEdge(part(root, "newer"), { texts, key: "newer" }),
    };
    this.#roving = new RovingFocus(this.#messages, { selector: "a.fc-message__time[href]", from: "last" });
    this.#listen();
  }

  /** Whether the newest message is in sight. */
  get atNewest() {
    return this.#scroll.pinned;
  }

  /** The seq up to which the messages of the window were in sight. */
  get seenTo() {
    return Number(this.#scroll.lastInSight?.dataset.seq ?? 0);
  }

  /** Show another conversation, from a place as `go` takes it; a screen reader is not read the whole of it. */
  show(conversation, emptyState, place) {
    this.#conversation = conversation;
    this.#emptyState = emptyState;
    this.#views.clear();
    this.#messages.replaceChildren();
    this.go(place);
    this.render({ quiet: true });
  }

  /** Be at {at: seq} of a message, {line: seq} of the first unread one, or {} the newest, once they are there. */
  go(place) {
    this.#place = place;
    this.#found?.unmark();
    if (!place.at && !place.line) this.#scroll.pin();
  }

  /** Bring the elements in line with the window, touching only those that changed; `quiet`: nothing of it is news. */
  render({ quiet = false } = {}) {
    if (!this.#conversation) return;
    const { timeline } = this.#conversation;
    const { messages } = timeline;
    if (quiet) this.#live.pause();
    this.#scroll.endless = timeline.loaded && !timeline.atEnd;
    this.#scroll.keep(() => {
      this.#state.render(this.#conversation, this.#emptyState);
      this.#renderEdges();
      this.#removeGone(messages);
      const added = this.#placeAll(messages);
      if (!quiet) this.#live.count(added);
    });
    this.#roving.refresh();
    this.#land();
    this.#look();
  }

  toNewest() {
    this.#scroll.toEnd();
  }

  /** Tell a screen reader of something that happened elsewhere. */
  announce(words) {
    this.#live.say(words);
  }

  relabelDays() {
    for (const view of this.#views.values()) view.relabelDay();
  }

  #listen() {
    this.#messages.addEventListener("click", (event) => this.#clicked(event));
    this.#state.addEventListener("reload", () => this.#emit("reload"));
    for (const [name, edge] of Object.entries(this.#edges)) edge.addEventListener("more", () => this.#emit(name));
  }

  #renderEdges() {
    const { timeline, loading, ephemeral } = this.#conversation;
    const hidden = !timeline.loaded || !timeline.messages.length;
    const end = this.#texts.get(ephemeral ? "nothing_kept" : "beginning");
    const isEnd = timeline.atStart || ephemeral;
    this.#edges.older.render({ hidden, isEnd, end, loading: loading.older });
    this.#edges.newer.render({ hidden: hidden && !loading.newer, isEnd: timeline.atEnd, loading: loading.newer });
  }

  #removeGone(messages) {
    const kept = new Set(messages);
    for (const [message, view] of this.#views) {
      if (kept.has(message)) continue;
      if (view.element.contains(this.#messages.getRootNode().activeElement)) this.#log.focus({ preventScroll: true });
      view.element.remove();
      this.#views.delete(message);
    }
  }

  /** Put every message's element in its place; what is new at the end goes in as one fragment. Returns how many. */
  #placeAll(messages) {
    const tail = document.createDocumentFragment();
    let added = 0;
    let cursor = this.#messages.firstChild;
    let previous = null;
    for (const message of messages) {
      let view = this.#views.get(message);
      if (!view) {
        view = this.#makeView(message);
        added++;
      }
      if (cursor && view.element === cursor) cursor = cursor.nextSibling;
      else if (cursor) this.#messages.insertBefore(view.element, cursor);
      else tail.append(view.element);
      view.update();
      view.arrange(this.#surroundings(previous, message));
      previous = message;
    }
    this.#messages.append(tail);
    return added;
  }

  #makeView(message) {
    const { name } = this.#conversation;
    const linkTo = ({ seq }) => seq && this.#links.to(name, seq);
    const view = new MessageView(message, { texts: this.#texts, days: this.#days, linkTo });
    this.#views.set(message, view);
    return view;
  }

  #surroundings(previous, message) {
    const newDay = !previous || this.#days.key(previous.ts) !== this.#days.key(message.ts);
    const firstUnread = Boolean(message.seq) && message.seq === this.#conversation.line;
    const sameAuthor = Boolean(message.user) && previous?.user?.id === message.user.id;
    const close = Math.abs(message.ts - (previous?.ts ?? 0)) < GROUP_WITHIN;
    const since = firstUnread ? (previous?.ts ?? null) : null;
    return { newDay, firstUnread, since, continued: sameAuthor && close && !newDay && !firstUnread };
  }

  /** Go where the reader is to be, now that it is there. */
  #land() {
    const { timeline, loading } = this.#conversation;
    if (!this.#place || !timeline.loaded || loading.whole === "loading") return;
    const { at, line } = this.#place;
    this.#place = null;
    const view = this.#viewOf(at ?? line);
    if (at) this.#landOn(view);
    else if (view) this.#scroll.place(view.element, AT_LINE);
    else {
      this.#scroll.pin();
      this.#scroll.refit();
    }
  }

  /** A message that is not kept any more has neighbours at least. */
  #landOn(view) {
    const nearest = view ?? [...this.#views.values()].at(0);
    if (nearest) this.#scroll.place(nearest.element, AT_MESSAGE);
    if (!view) return this.#emit("missing");
    view.mark();
    this.#found = view;
  }

  #viewOf(seq) {
    return seq ? this.#views.get(this.#conversation.timeline.at(seq)) : undefined;
  }

  #moved() {
    if (!this.#conversation) return;
    this.#emit("moved");
    this.#look();
  }

  /** Request more before the reader reaches an end of the window; before the reader scrolls, only if the end is visible. */
  #look() {
    const { timeline, loading } = this.#conversation;
    if (!timeline.loaded || this.#place) return;
    const ahead = this.#scroll.byReader ? AHEAD * this.#log.clientHeight : 0;
    if (!timeline.atStart && !loading.older && this.#scroll.aboveSight <= ahead) this.#emit("older");
    if (!timeline.atEnd && !loading.newer && this.#scroll.belowSight <= ahead) this.#emit("newer");
  }

  #clicked(event) {
    const { target } = event;
    const message = this.#messageOf(target);
    const plain = !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
    if (target.dataset?.action) this.#emit(target.dataset.action, message);
    const link = plain && target.closest("a[href]");
    if (!link || !message) return;
    const place = this.#links.read(link.href);
    if (!place) return;
    event.preventDefault();
    if (link.classList.contains("fc-message__time")) this.#emit("copy", link.href);
    else this.#emit("visit", place);
  }

  #messageOf(target) {
    const element = target.closest?.("[data-message-id]");
    const [message] = [...this.#views].find(([, view]) => view.element === element) ?? [];
    return message;
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
