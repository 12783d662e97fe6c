/** More unread messages than this are not loaded with the newest: one begins at the first of them. */
const AT_ONCE = 30;
/** Conversations whose messages stay loaded. */
const LOADED = 8;
/** News that arrive out of order are in order by then; what is still missing is asked for. */
const ORDERLY = 500;
const AGAIN = 5_000;

/**
 * What the reader looks at: opens conversations at the right place, loads what comes into sight, and notes what was read.
 *
 * Events: `opened` with {conversation, place} when the log is to show it, `marks` when something became read.
 */
export class Reading extends EventTarget {
  #conversations;
  #history;
  #list;
  #marks;
  #isShown;
  #isOnline;
  #mending = 0;
  #recent = [];

  constructor({ conversations, history, list, marks, isShown, isOnline }) {
    super();
    this.#conversations = conversations;
    this.#history = history;
    this.#list = list;
    this.#marks = marks;
    this.#isShown = isShown;
    this.#isOnline = isOnline;
  }

  /** Whether the reader is at the page. */
  get isHere() {
    return !document.hidden && document.hasFocus() && this.#isShown();
  }

  /** Whether the reader sees what is said in a conversation the moment it is. */
  isWatching(conversation) {
    const { current } = this.#conversations;
    return this.isHere && conversation === current && this.#list.atNewest && conversation.timeline.atEnd;
  }

  /** Turn to a conversation: to the message `at`, else to what is new there, else to its end. */
  open(conversation, at = null) {
    const { current } = this.#conversations;
    if (current !== conversation) this.#close(current);
    this.#conversations.current = conversation;
    const place = at ? { at } : this.#placeOfNews(conversation);
    // What is on its way is known to be so before the log is drawn: else it would land in the window that goes.
    this.#load(conversation, place);
    this.dispatchEvent(new CustomEvent("opened", { detail: { conversation, place } }));
    this.tend(conversation);
    this.look();
  }

  /** Load what the conversation that is shown begins with once more. */
  reload() {
    const { current } = this.#conversations;
    current.timeline.drop();
    this.open(current);
  }

  /** There is a connection again: what could not be loaded without one is asked for again. */
  resume() {
    const { timeline, loading } = this.#conversations.current;
    if (!timeline.loaded && loading.whole && loading.whole !== "loading") this.reload();
  }

  /** To the newest message, wherever one reads now. */
  toNewest() {
    const { current } = this.#conversations;
    if (current.timeline.atEnd) this.#list.toNewest();
    else this.stayAtNewest();
  }

  /** Be at the newest message from the next drawing on. */
  stayAtNewest() {
    const { current } = this.#conversations;
    this.#list.go({});
    if (current.timeline.loaded && !current.timeline.atEnd) this.#history.toNewest(current);
  }

  /** What is in sight is read. */
  look() {
    const { current } = this.#conversations;
    const { timeline } = current;
    if (!timeline.loaded || !this.isHere) return;
    const seq = this.isWatching(current) ? Math.max(timeline.high, 0) : this.#seenTo(current);
    if (current.ephemeral ? !this.isWatching(current) : seq <= Math.min(current.readSeq, current.toldSeq)) return;
    const { unread } = current;
    current.readTo(seq);
    if (seq > current.toldSeq && current.isMember) {
      current.toldSeq = seq;
      this.#marks.add(current.name, seq);
    }
    if (unread !== current.unread) this.dispatchEvent(new Event("marks"));
  }

  /** The window changed: keep it whole, and not more of it than there is use for. */
  tend(conversation) {
    const isCurrent = conversation === this.#conversations.current;
    conversation.timeline.trim({ keepEnd: !isCurrent || this.#list.atNewest });
    if (conversation.hasHole) this.#mendLater();
  }

  /** What was seen counts as read only where it goes on from what was read before: a visit to the past is none. */
  #seenTo(conversation) {
    return conversation.timeline.low <= conversation.firstUnread ? this.#list.seenTo : 0;
  }

  #close(conversation) {
    const { timeline } = conversation;
    if (!conversation.unread) conversation.line = null;
    // What we do not hear, or not to its end, is read anew when it is looked at again.
    if (!conversation.ephemeral && !(conversation.isMember && timeline.atEnd)) timeline.drop();
    this.#recent = [conversation, ...this.#recent.filter((one) => one !== conversation)];
    for (const old of this.#recent.splice(LOADED)) if (!old.ephemeral) old.timeline.drop();
  }

  #placeOfNews(conversation) {
    if (!conversation.unread || conversation.ephemeral) return {};
    conversation.line ??= conversation.firstUnread;
    return { line: conversation.line };
  }

  /** @param {any} conversation @param {import("./types").Spot} spot */
  #load(conversation, { at, line }) {
    const { timeline } = conversation;
    if (conversation.ephemeral) timeline.startEmpty();
    else if (at) this.#history.around(conversation, at);
    else if (timeline.loaded && timeline.atEnd && (!line || timeline.at(line))) return;
    else if (line && conversation.lastSeq - line >= AT_ONCE) this.#history.around(conversation, line);
    else this.#history.toNewest(conversation);
  }

  #mendLater(delay = ORDERLY) {
    this.#mending ||= setTimeout(() => this.#mend(), delay);
  }

  /** Bring what is missing where the reader is; elsewhere the window goes, and comes anew when it is looked at. */
  async #mend() {
    this.#mending = 0;
    const { all, current } = this.#conversations;
    for (const one of all) if (one !== current && one.hasHole) one.timeline.drop();
    if (!current.hasHole || !this.#isOnline()) return;
    await this.#history.catchUp(current, { keepEnd: this.#list.atNewest });
    if (current.hasHole) this.#mendLater(AGAIN);
  }
}
