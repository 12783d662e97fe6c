/** A `details` element as a menu: Escape closes it, and so does whatever happens outside of it. */
export class Menu {
  #details;

  constructor(details) {
    this.#details = details;
    details.addEventListener("keydown", (event) => event.key === "Escape" && this.#escape(event));
    details.addEventListener("focusout", (event) => event.relatedTarget && this.#leave(event.relatedTarget));
    document.addEventListener("pointerdown", (event) => this.#leave(event.target));
  }

  #escape(event) {
    if (!this.#details.open) return;
    event.stopPropagation();
    this.#details.open = false;
    this.#details.querySelector("summary").focus();
  }

  #leave(target) {
    if (!this.#details.contains(target)) this.#details.open = false;
  }
}
