import { on } from "./events.js";

/**
 * What comes from the server: carries it into the conversations, has it drawn, and tells a reader who is elsewhere.
 *
 * Events: `pick` with the conversation of a notification that was clicked, `rooms` when the list of rooms is another,
 * `members` when the people of the one that one looks at may be others.
 */
export class News extends EventTarget {
  #texts;
  #conversations;
  #outbox;
  #inbox;
  #history;
  #reading;
  #view;

  constructor({ texts, conversations, subscriptions, outbox, inbox, history, reading, view }) {
    super();
    this.#texts = texts;
    this.#conversations = conversations;
    this.#outbox = outbox;
    this.#inbox = inbox;
    this.#history = history;
    this.#reading = reading;
    this.#view = view;
    on(subscriptions, "joined", ({ conversation, synced }) => this.#joined(conversation, synced));
    on(history, "change", ({ conversation }) => this.#loaded(conversation));
    on(history, "skipped", (conversation) => this.#skipped(conversation));
    on(history, "begun", (conversation) => this.#begunAnew(conversation));
  }

  /** A batch of the server's messages. */
  take(batch) {
    const changes = this.#inbox.take(batch);
    const { conversations, rosters, marks, rooms, lost, arrivals, invitations, updated, complaints } = changes;
    const { current } = this.#conversations;
    for (const { conversation, message } of arrivals) this.#arrived(conversation, message);
    for (const { inviter, title } of invitations) {
      this.#view.toasts.show(this.#texts.get("invited_by", { name: inviter.username, room: title }));
    }
    for (const sentence of complaints) this.#view.toasts.show(sentence);
    for (const conversation of conversations) this.#reading.tend(conversation);
    if (conversations.has(current)) this.#view.redraw("log");
    if (marks) this.#view.redraw("marks");
    if (rosters.size) this.#view.redraw("people", "marks");
    if (updated.has(current.name)) this.dispatchEvent(new CustomEvent("members"));
    if (rooms || lost.length) this.dispatchEvent(new CustomEvent("rooms"));
    if (marks) this.#reading.look();
  }

  /** Messages that were kept came, or did not. */
  #loaded(conversation) {
    if (conversation !== this.#conversations.current) return;
    this.#reading.tend(conversation);
    this.#view.redraw("history", "marks");
    queueMicrotask(() => this.#reading.look());
  }

  /** The server told all of a room that we had missed, or that it cannot. */
  #joined(conversation, { seq = 0, epoch, recovered }) {
    const { timeline } = conversation;
    const anew = conversation.begin(epoch) || (!recovered && conversation.endsAt(seq));
    conversation.reaches(seq);
    if (anew) this.#begunAnew(conversation);
    else if (!recovered && timeline.loaded && timeline.atEnd) this.#history.skip(conversation);
    this.#outbox.pump();
    this.#reading.tend(conversation);
    if (conversation === this.#conversations.current) this.#view.redraw("log");
    this.#view.redraw("marks");
  }

  /** Too much was missed to be told one by one: go on reading where it began, page by page. */
  #skipped(conversation) {
    if (conversation !== this.#conversations.current) return;
    if (this.#view.list.atNewest) this.#reading.open(conversation);
    this.#view.notice.show(this.#texts.get("missed_much"));
  }

  #begunAnew(conversation) {
    if (conversation !== this.#conversations.current) return;
    this.#reading.reload();
    this.#view.notice.show(this.#texts.get("begun_anew"));
  }

  #arrived(conversation, message) {
    if (this.#reading.isWatching(conversation)) return;
    const { person } = conversation;
    if (person && conversation !== this.#conversations.current) {
      this.#view.list.announce(this.#texts.get("message_from", { name: person.username }));
    }
    if (!this.#reading.isHere && (person || message.mention)) this.#notify(conversation, message);
  }

  #notify(conversation, { user, text }) {
    const room = this.#conversations.titleOf(conversation);
    const title = conversation.person ? user.username : this.#texts.get("in_room", { name: user.username, room });
    const pick = () => this.dispatchEvent(new CustomEvent("pick", { detail: conversation }));
    this.#view.notifier.tell(title, text, `chat:${conversation.name}`, pick);
  }
}
