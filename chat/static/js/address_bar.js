/**
 * Keeps the page's address in step with what is shown, so that it can be copied, reloaded, and gone back from.
 *
 * `visited` is called with {room, at} when the reader goes back or forth. The widget has no address of its own.
 */
export class AddressBar {
  #links;

  constructor(links, visited) {
    this.#links = links;
    addEventListener("popstate", () => visited(this.here));
  }

  /** What the address says now. */
  get here() {
    return this.#links.read(location.href) ?? this.#links.read(this.#links.to(""));
  }

  /** Show where the reader is; a step that one can go back from, unless it only corrects the address. */
  show({ room, at = null }, { step = true } = {}) {
    const href = this.#links.to(room, at);
    if (href === location.href) return;
    if (step) history.pushState(null, "", href);
    else history.replaceState(null, "", href);
  }
}
