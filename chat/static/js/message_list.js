import { part } from "./dom.js";
import { LiveRegion } from "./live_region.js";
import { MessageView } from "./message_view.js";
import { ScrollKeeper } from "./scroll_keeper.js";

/** Messages of one author within this time stand together under one name. */
const GROUP_WITHIN = 5 * 60_000;

/**
 * The log on the page: shows one conversation, and brings itself up to date with `render`.
 *
 * Events: `retry` and `discard` with the message, `scroll-state` when the newest comes into sight or leaves it.
 */
export class MessageList extends EventTarget {
  #log;
  #messages;
  #empty;
  #texts;
  #days;
  #scroll;
  #live;
  #conversation = null;
  #views = new Map();

  constructor(root, { texts, days }) {
    super();
    this.#log = part(root, "log");
    this.#messages = part(root, "messages");
    this.#empty = part(root, "empty");
    this.#texts = texts;
    this.#days = days;
    this.#scroll = new ScrollKeeper(this.#log, () => this.dispatchEvent(new Event("scroll-state")));
    this.#live = new LiveRegion(this.#log, part(root, "announcer"), texts);
    this.#messages.addEventListener("click", (event) => this.#clicked(event));
  }

  /** Whether the newest message is in sight. */
  get atNewest() {
    return this.#scroll.pinned;
  }

  /** Show another conversation, from its newest message; a screen reader is not read the whole of it. */
  show(conversation, emptyState) {
    this.#conversation = conversation;
    this.#live.pause();
    this.#views.clear();
    this.#messages.replaceChildren();
    this.#empty.replaceChildren(...emptyState);
    this.#scroll.pin();
    this.render();
  }

  /** Bring the elements in line with the conversation's messages, touching only those that changed. */
  render() {
    const { messages } = this.#conversation;
    this.#empty.hidden = messages.length > 0;
    this.#scroll.keep(() => {
      this.#removeGone(messages);
      this.#live.count(this.#place(messages));
    });
  }

  /** Be at the newest message from the next rendering on. */
  pin() {
    this.#scroll.pin();
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

  #removeGone(messages) {
    const kept = new Set(messages);
    for (const [message, view] of this.#views) {
      if (kept.has(message)) continue;
      view.element.remove();
      this.#views.delete(message);
    }
  }

  /** Put every message's element in its place; what is new at the end goes in as one fragment. Returns how many. */
  #place(messages) {
    const tail = document.createDocumentFragment();
    let added = 0;
    let cursor = this.#messages.firstChild;
    let previous = null;
    for (const message of messages) {
      let view = this.#views.get(message);
      if (!view) {
        view = new MessageView(message, { texts: this.#texts, days: this.#days });
        this.#views.set(message, view);
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

  #surroundings(previous, message) {
    const newDay = !previous || this.#days.key(previous.ts) !== this.#days.key(message.ts);
    const firstUnread = this.#conversation.unreadFrom === message;
    const sameAuthor = Boolean(message.user) && previous?.user?.id === message.user.id;
    const close = Math.abs(message.ts - (previous?.ts ?? 0)) < GROUP_WITHIN;
    return { newDay, firstUnread, continued: sameAuthor && close && !newDay && !firstUnread };
  }

  #clicked(event) {
    const action = event.target.dataset?.action;
    if (!action) return;
    const element = event.target.closest("[data-message-id]");
    const [message] = [...this.#views].find(([, view]) => view.element === element) ?? [];
    if (message) this.dispatchEvent(new CustomEvent(action, { detail: message }));
  }
}
