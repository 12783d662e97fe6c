import { MessageType } from "./protocol.js";

/** Marks are gathered for this long: who scrolls through a hundred messages says it once. */
const GATHERED_FOR = 700;

/** Tells the server how far is read, so that other tabs and devices know it too. */
export class ReadMarks {
  #connection;
  #pace;
  #waiting = new Map();
  #timer = 0;

  constructor(connection, pace) {
    this.#connection = connection;
    this.#pace = pace;
    document.addEventListener("visibilitychange", () => document.hidden && this.#send());
    addEventListener("pagehide", () => this.#send());
  }

  /** The reader saw everything in `room` up to `seq`. */
  add(room, seq) {
    this.#waiting.set(room, seq);
    this.#later(GATHERED_FOR);
  }

  /** There is a connection again: what was read meanwhile is told now. */
  resume() {
    if (this.#waiting.size) this.#later(GATHERED_FOR);
  }

  #later(delay) {
    this.#timer ||= setTimeout(() => this.#send(), delay);
  }

  #send() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    for (const [room, seq] of this.#waiting) {
      if (this.#pace.patientWait > 0) return this.#later(this.#pace.patientWait + GATHERED_FOR);
      if (!this.#connection.send({ type: MessageType.READ, room, seq })) return;
      this.#pace.spend();
      this.#waiting.delete(room);
    }
  }
}
