/** Values that outlive a reload, in "sessionStorage" or "localStorage"; where that fails, they do not. */
export class Kept {
  /** @type {"sessionStorage" | "localStorage"} */
  #area;
  #prefix;

  /** @param {"sessionStorage" | "localStorage"} area */
  constructor(area, prefix) {
    this.#area = area;
    this.#prefix = prefix;
  }

  /** The value, or null. */
  get(key) {
    try {
      return JSON.parse(window[this.#area].getItem(this.#prefix + key) ?? "null");
    } catch {
      return null;
    }
  }

  /** Keep a value; nothing, null and "" are forgotten. */
  set(key, value) {
    try {
      if (value) window[this.#area].setItem(this.#prefix + key, JSON.stringify(value));
      else window[this.#area].removeItem(this.#prefix + key);
    } catch {
      // What cannot be kept lives as long as the page shows it.
    }
  }
}
