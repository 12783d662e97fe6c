/** This near to the end counts as being there. */
const NEAR = 6;

/**
 * Keeps a scrolled element where its reader wants it: at its end while they are there, else still.
 *
 * `pinned` says which; `changed` is called when that changes, `moved` after each scroll. While `endless` is set, the end
 * of the content is not the end of the conversation, and nobody is held there.
 */
export class ScrollKeeper {
  pinned = true;
  /** Whether the reader has scrolled since the last `pin` or `place`. */
  byReader = false;
  #element;
  #changed;
  #moved;
  #endless = false;
  #top = 0;
  /**
   * What the reader looks at, and where it stood: kept, so that roundings of a pixel do not add up.
   * @type {{element: any, offset: any} | null}
   */
  #anchor = null;

  constructor(element, { changed, moved }) {
    this.#element = element;
    this.#changed = changed;
    this.#moved = moved;
    element.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    element.addEventListener("wheel", (event) => event.deltaY < 0 && this.#leave(), { passive: true });
    new ResizeObserver(() => this.refit()).observe(element);
  }

  set endless(endless) {
    this.#endless = endless;
    if (endless) this.#set(false);
  }

  pin() {
    this.byReader = false;
    this.#set(!this.#endless);
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
    const { element, offset } = /** @type {{element: any, offset: any}} */ (this.#anchor);
    if (element?.isConnected) this.#moveTo(this.#element.scrollTop + this.#offsetOf(element) - offset);
    else this.#dropAnchor();
  }

  refit() {
    if (this.pinned) this.#moveTo(this.#element.scrollHeight);
  }

  /** Go to the end: glide when it is near, jump when it is far. */
  toEnd() {
    const { scrollHeight, clientHeight } = this.#element;
    const near = this.belowSight < 2 * clientHeight;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.#set(true);
    if (near && !still) this.#element.scrollTo({ top: scrollHeight, behavior: "smooth" });
    else this.#moveTo(scrollHeight);
  }

  /** Have `element` stand so far below the upper edge, as a part of the height there is; or be at the end. */
  place(element, part) {
    this.#anchor = null;
    this.byReader = false;
    const { clientHeight } = this.#element;
    const room = Math.max(0, clientHeight - element.offsetHeight);
    this.#moveTo(this.#element.scrollTop + this.#offsetOf(element) - Math.min(part * clientHeight, room));
    this.#set(!this.#endless && this.belowSight <= NEAR);
  }

  /** The last of the messages of which the beginning is in sight. */
  get lastInSight() {
    const bottom = this.#element.getBoundingClientRect().bottom - NEAR;
    return this.#halve((message) => message.getBoundingClientRect().top + NEAR > bottom, { last: true });
  }

  /** Pixels of content above and below what is in sight. */
  get aboveSight() {
    return this.#element.scrollTop;
  }

  get belowSight() {
    const { scrollHeight, scrollTop, clientHeight } = this.#element;
    return scrollHeight - scrollTop - clientHeight;
  }

  #dropAnchor() {
    const { top } = this.#element.getBoundingClientRect();
    const element = this.#halve((message) => message.getBoundingClientRect().bottom > top);
    this.#anchor = { element, offset: element && this.#offsetOf(element) };
  }

  #offsetOf(element) {
    return element.getBoundingClientRect().top - this.#element.getBoundingClientRect().top;
  }

  /** The first message for which `test` holds, or the last one before it; they stand in order, so it is found by halving. */
  #halve(test, { last = false } = {}) {
    const messages = this.#element.querySelectorAll("[data-message-id]");
    let low = 0;
    let high = last ? messages.length : messages.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (test(messages[middle])) high = middle;
      else low = middle + 1;
    }
    return messages[last ? low - 1 : low];
  }

  #moveTo(top) {
    this.#element.scrollTop = top;
    this.#top = this.#element.scrollTop;
  }

  #scrolled() {
    const { scrollTop } = this.#element;
    // What we do ends at #top: the rest is the reader's doing.
    const moved = scrollTop - this.#top;
    if (Math.abs(moved) >= 1) {
      this.#anchor = null;
      this.byReader = true;
    }
    if (this.belowSight <= NEAR) this.#set(!this.#endless);
    else if (moved < -1) this.#set(false);
    this.#top = scrollTop;
    this.#moved();
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
