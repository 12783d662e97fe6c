import { part } from "./dom.js";

/** A sentence above the log that stays until it is dismissed, or the reader goes on: what happened to this room. */
export class Notice {
  #element;
  #words;
  #button;
  /** @type {(() => void) | null} */
  #act = null;

  constructor(root) {
    this.#element = part(root, "notice");
    this.#words = part(root, "notice-words");
    this.#button = part(root, "notice-action");
    this.#button.addEventListener("click", () => {
      const act = this.#act;
      this.hide();
      act?.();
    });
    part(root, "notice-close").addEventListener("click", () => this.hide());
  }

  /**
   * `label` and `act` are a button for what can be done about it.
   * @param {string} sentence
   * @param {{label?: string, act?: (() => void) | null}} button
   */
  show(sentence, { label = "", act = null } = {}) {
    this.#act = act;
    this.#button.textContent = label;
    this.#button.hidden = !act;
    this.#words.textContent = sentence;
    this.#element.hidden = false;
  }

  hide() {
    this.#element.hidden = true;
  }
}
