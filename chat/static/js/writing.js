import { newId } from "./protocol.js";

/** What the user says: into the log at once, into the outbox until the server has it. */
export class Writing {
  #me;
  #conversations;
  #outbox;
  #reading;
  #view;

  constructor({ me, conversations, outbox, reading, view }) {
    this.#me = me;
    this.#conversations = conversations;
    this.#outbox = outbox;
    this.#reading = reading;
    this.#view = view;
    const changed = ({ detail: { conversation } }) => this.#changed(conversation);
    outbox.addEventListener("change", changed);
  }

  /** Say it where one is; who writes has read what is there, and is at its end. */
  send(text) {
    const conversation = this.#conversations.current;
    const message = this.#message({ id: newId(), text, ts: Date.now() });
    conversation.line = null;
    conversation.lastAt = message.ts;
    conversation.timeline.send(message);
    this.#outbox.add(message, conversation);
    this.#reading.stayAtNewest();
    this.#view.redraw("log", "marks");
  }

  /** What a reload interrupted goes on its way again. */
  pickUpLeftBehind() {
    for (const { id, text, ts, room, person } of this.#outbox.leftBehind) {
      const conversation = person ? this.#conversations.with(person) : this.#conversations.named(room);
      const message = this.#message({ id, text, ts });
      conversation.timeline.send(message);
      this.#outbox.add(message, conversation);
    }
  }

  /** Try a message again that failed. */
  sendAgain(message) {
    const { current } = this.#conversations;
    Object.assign(message, { state: "pending", error: null, ts: Date.now() });
    current.timeline.send(message);
    this.#outbox.add(message, current);
    this.#view.redraw("log");
    this.#view.composer.focus();
  }

  discard(message) {
    this.#conversations.current.timeline.discard(message);
    this.#view.redraw("log");
    this.#view.composer.focus();
  }

  #message(words) {
    return { ...words, user: this.#me, own: true, state: "pending", error: null };
  }

  #changed(conversation) {
    this.#reading.tend(conversation);
    if (conversation === this.#conversations.current) this.#view.redraw("log");
  }
}
