/** How long to wait before the next attempt: full jitter, so that a thousand clients do not come back at once. */
export class Backoff {
  #attempt = 0;
  #random;

  constructor(random = Math.random) {
    this.#random = random;
  }

  /** The next wait in milliseconds: `floor` plus anything up to `base` doubled for each attempt, at most `cap`. */
  next({ base, cap, floor = 0 }) {
    const ceiling = Math.min(cap, base * 2 ** this.#attempt);
    this.#attempt = Math.min(this.#attempt + 1, 16);
    return floor + this.#random() * ceiling;
  }

  reset() {
    this.#attempt = 0;
  }
}
