import { part } from "./dom.js";
import { countCharacters, sendable } from "./protocol.js";

/** The counter shows itself for the last tenth of the room there is. */
const NEAR_LIMIT = 0.1;
const IME_KEY = 229;

/**
 * Where one writes. Enter sends, Shift+Enter begins a line, an input method's Enter does neither.
 *
 * Events: `send` with the text, `draft` with what stands there now.
 */
export class Composer extends EventTarget {
  #form;
  #box;
  #button;
  #counter;
  #limit;
  #texts;

  constructor(root, { limit, texts }) {
    super();
    this.#form = part(root, "composer");
    this.#box = part(root, "input");
    this.#button = part(root, "send");
    this.#counter = part(root, "counter");
    this.#limit = limit;
    this.#texts = texts;
    this.#form.addEventListener("submit", (event) => this.#submit(event));
    this.#box.addEventListener("keydown", (event) => this.#key(event));
    this.#box.addEventListener("input", () => this.#changed());
    this.#refresh();
  }

  /** Turn to another conversation: its name in the placeholder, its draft in the box. */
  turnTo(placeholder, draft) {
    this.#box.placeholder = placeholder;
    this.#box.setAttribute("aria-label", placeholder);
    this.#box.value = draft;
    this.#refresh();
  }

  focus() {
    this.#box.focus({ preventScroll: true });
  }

  set enabled(enabled) {
    this.#box.disabled = !enabled;
    this.#form.classList.toggle("fc-composer--off", !enabled);
    this.#refresh();
  }

  #key(event) {
    if (event.key !== "Enter" || event.shiftKey || event.altKey) return;
    if (event.isComposing || event.keyCode === IME_KEY) return;
    event.preventDefault();
    if (!event.repeat) this.#form.requestSubmit();
  }

  #submit(event) {
    event.preventDefault();
    const text = sendable(this.#box.value);
    if (!text || countCharacters(text) > this.#limit || this.#box.disabled) return;
    this.#box.value = "";
    this.#changed();
    this.focus();
    this.dispatchEvent(new CustomEvent("send", { detail: text }));
  }

  #changed() {
    this.#refresh();
    this.dispatchEvent(new CustomEvent("draft", { detail: this.#box.value }));
  }

  #refresh() {
    const left = this.#limit - countCharacters(sendable(this.#box.value));
    this.#showCounter(left);
    this.#button.disabled = left === this.#limit || left < 0 || this.#box.disabled;
    this.#grow();
  }

  #showCounter(left) {
    const over = left < 0;
    this.#counter.hidden = left > Math.min(500, this.#limit * NEAR_LIMIT);
    this.#counter.classList.toggle("fc-counter--over", over);
    this.#box.setAttribute("aria-invalid", String(over));
    if (!this.#counter.hidden) this.#counter.textContent = this.#texts.count(over ? "over" : "left", Math.abs(left));
  }

  /** As tall as what stands in it; the style sheet says where that ends. */
  #grow() {
    if (CSS.supports("field-sizing", "content")) return;
    this.#box.style.height = "auto";
    this.#box.style.height = `${this.#box.scrollHeight}px`;
  }
}
