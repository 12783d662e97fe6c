/** A `details` element as a menu: Escape closes it, and so does whatever happens outside of it, or a choice. */
export class Menu {
  #details;

  constructor(details) {
    this.#details = details;
    details.addEventListener("keydown", (event) => event.key === "Escape" && this.#escape(event));
    details.addEventListener("focusout", (event) => event.relatedTarget && this.#leave([event.relatedTarget]));
    // In a shadow root the target that the document is told of is the host.
    document.addEventListener("pointerdown", (event) => this.#leave(event.composedPath()));
  }

  close() {
    this.#details.open = false;
  }

  #escape(event) {
    if (!this.#details.open) return;
    event.stopPropagation();
    this.close();
    this.#details.querySelector("summary").focus();
  }

  #leave(path) {
    if (!path.some((node) => node instanceof Node && this.#details.contains(node))) this.close();
  }
}
