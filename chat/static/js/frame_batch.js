/** A hidden page gets no animation frames; this often it catches up. */
const HIDDEN_DELAY = 250;

/** Gathers things and hands them over together, once an animation frame: a hundred messages cost one layout. */
export class FrameBatch {
  #take;
  #waiting = [];
  #frame = 0;
  #timer = 0;

  constructor(take) {
    this.#take = take;
    document.addEventListener("visibilitychange", () => this.#waiting.length && this.#flush());
  }

  push(thing) {
    this.#waiting.push(thing);
    if (this.#frame || this.#timer) return;
    // The timer also covers a window that is visible and yet not painted.
    if (!document.hidden) this.#frame = requestAnimationFrame(() => this.#flush());
    this.#timer = setTimeout(() => this.#flush(), HIDDEN_DELAY);
  }

  #flush() {
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#timer);
    this.#frame = this.#timer = 0;
    const batch = this.#waiting;
    this.#waiting = [];
    this.#take(batch);
  }
}
