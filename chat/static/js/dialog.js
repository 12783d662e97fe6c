import { part } from "./dom.js";

/**
 * A `dialog` over the page: Escape, its ×, its Cancel and a click beside it close it; the focus goes back by itself.
 *
 * Its form's submit calls `submit` with the FormData: while that is awaited the form is busy; what it throws is said in
 * the dialog's own words' place, and the dialog stays.
 */
export class Dialog {
  #element;
  #form;
  #error;
  #submit;

  constructor(root, name, { submit }) {
    this.#element = part(root, `${name}-dialog`);
    this.#form = this.#element.querySelector("form");
    this.#error = this.#element.querySelector("[data-error]");
    this.#submit = submit;
    this.#form.addEventListener("submit", (event) => this.#submitted(event));
    // Escape is for the dialog alone: what lies below it stays open.
    this.#element.addEventListener("keydown", (event) => event.key === "Escape" && event.stopPropagation());
    this.#element.addEventListener("click", (event) => this.#clicked(event));
  }

  get isOpen() {
    return this.#element.open;
  }

  open() {
    this.#form.reset();
    this.say("");
    this.#element.showModal();
  }

  close() {
    this.#element.close();
  }

  /** Say what is wrong, or nothing. */
  say(sentence) {
    this.#error.textContent = sentence;
    this.#error.hidden = !sentence;
  }

  async #submitted(event) {
    event.preventDefault();
    if (this.#form.ariaBusy === "true") return;
    this.#form.ariaBusy = "true";
    this.say("");
    try {
      await this.#submit(new FormData(this.#form, event.submitter));
    } catch (error) {
      this.say(error.message);
    } finally {
      this.#form.ariaBusy = "false";
    }
  }

  #clicked(event) {
    const beside = event.target === this.#element && isOutside(event, this.#element);
    if (beside || event.target.closest("[data-close]")) this.close();
  }
}

function isOutside({ clientX, clientY }, element) {
  const { left, right, top, bottom } = element.getBoundingClientRect();
  return clientX < left || clientX > right || clientY < top || clientY > bottom;
}
