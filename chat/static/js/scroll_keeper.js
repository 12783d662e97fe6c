/** This near to the end counts as being there. */
const NEAR = 6;

/**
 * Keeps a scrolled element where its reader wants it: at its end while they are there, else still.
 *
 * `pinned` says which; `changed` is called when that changes.
 */
export class ScrollKeeper {
  pinned = true;
  #element;
  #changed;
  #top = 0;
  /** What the reader looks at, and where it stood: kept, so that roundings of a pixel do not add up. */
  #anchor = null;

  constructor(element, changed) {
    this.#element = element;
    this.#changed = changed;
    element.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    element.addEventListener("wheel", (event) => event.deltaY < 0 && this.#leave(), { passive: true });
    new ResizeObserver(() => this.refit()).observe(element);
  }

  pin() {
    this.#set(true);
  }

  /** Change the content with `work`: what is in sight stays in sight, or the end does. */
  keep(work) {
    if (this.pinned) {
      work();
      this.refit();
      return;
    }
    if (!this.#anchor?.element?.isConnected) this.#dropAnchor();
    work();
    const { element, offset } = this.#anchor;
    if (element?.isConnected) this.#moveTo(this.#element.scrollTop + this.#offsetOf(element) - offset);
    else this.#dropAnchor();
  }

  refit() {
    if (this.pinned) this.#moveTo(this.#element.scrollHeight);
  }

  /** Go to the end: glide when it is near, jump when it is far. */
  toEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#element;
    const near = scrollHeight - scrollTop - clientHeight < 2 * clientHeight;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.#set(true);
    if (near && !still) this.#element.scrollTo({ top: scrollHeight, behavior: "smooth" });
    else this.#moveTo(scrollHeight);
  }

  #dropAnchor() {
    const element = this.#firstInSight();
    this.#anchor = { element, offset: element && this.#offsetOf(element) };
  }

  #offsetOf(element) {
    return element.getBoundingClientRect().top - this.#element.getBoundingClientRect().top;
  }

  #firstInSight() {
    const { top } = this.#element.getBoundingClientRect();
    const messages = this.#element.querySelectorAll("[data-message-id]");
    // They stand in order, so the first one that ends below the upper edge is found by halving.
    let low = 0;
    let high = messages.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (messages[middle].getBoundingClientRect().bottom > top) high = middle;
      else low = middle + 1;
    }
    return messages[low];
  }

  #moveTo(top) {
    this.#element.scrollTop = top;
    this.#top = this.#element.scrollTop;
  }

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.#element;
    // What we do ends at #top: the rest is the reader's doing.
    const moved = scrollTop - this.#top;
    if (Math.abs(moved) >= 1) this.#anchor = null;
    if (scrollHeight - scrollTop - clientHeight <= NEAR) this.#set(true);
    else if (moved < -1) this.#set(false);
    this.#top = scrollTop;
  }

  #leave() {
    if (this.#element.scrollTop > 0 && this.#element.scrollHeight > this.#element.clientHeight) this.#set(false);
  }

  #set(pinned) {
    if (pinned === this.pinned) return;
    this.pinned = pinned;
    this.#changed();
  }
}
