/** A hidden page gets no animation frames; this often it catches up. */
const HIDDEN_DELAY = 250;
/** Milliseconds between two batches: drawing takes most of a frame, and the page must respond in between. */
const REST = 80;

/**
 * Gathers things and hands them over together, in an animation frame: a hundred messages cost one layout.
 *
 * The first thing after a pause is handed over in the next frame; while many arrive, there are twelve batches a second.
 */
export class FrameBatch {
  #take;
  #waiting = [];
  #frame = 0;
  #timer = 0;
  #flushedAt = -REST;

  constructor(take) {
    this.#take = take;
    document.addEventListener("visibilitychange", () => this.#waiting.length && this.#flush());
  }

  push(thing) {
    this.#waiting.push(thing);
    if (this.#frame || this.#timer) return;
    const rest = this.#flushedAt + REST - performance.now();
    if (rest > 0) this.#timer = setTimeout(() => this.#schedule(), rest);
    else this.#schedule();
  }

  #schedule() {
    // The timer also covers a window that is visible and yet not painted.
    if (!document.hidden) this.#frame = requestAnimationFrame(() => this.#flush());
    this.#timer = setTimeout(() => this.#flush(), HIDDEN_DELAY);
  }

  #flush() {
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#timer);
    this.#frame = this.#timer = 0;
    this.#flushedAt = performance.now();
    const batch = this.#waiting;
    this.#waiting = [];
    this.#take(batch);
  }
}
