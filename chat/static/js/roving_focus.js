/**
 * Makes a list of buttons or links one stop of the Tab key, with arrows, Home and End to move inside it.
 *
 * `from` says which one is the stop while the focus is elsewhere: the "first", or the "last".
 */
export class RovingFocus {
  #list;
  #selector;
  #from;

  constructor(list, { selector = "button:not(:disabled, [hidden])", from = "first" } = {}) {
    this.#list = list;
    this.#selector = selector;
    this.#from = from;
    list.addEventListener("keydown", (event) => this.#key(event));
    list.addEventListener("focusin", (event) => this.#makeStop(event.target.closest(selector)));
  }

  /** The buttons changed: see to it that exactly one of them is the Tab key's stop. */
  refresh() {
    const stops = this.#stops;
    const inside = this.#list.contains(this.#list.getRootNode().activeElement);
    if (this.#from === "last" && !inside) this.#makeStop(stops.at(-1), stops);
    else if (!stops.some((stop) => stop.tabIndex === 0)) this.#makeStop(stops[0], stops);
  }

  get #stops() {
    return [...this.#list.querySelectorAll(this.#selector)];
  }

  #makeStop(wanted, stops = this.#stops) {
    if (!wanted) return;
    for (const stop of stops) {
      const tabIndex = stop === wanted ? 0 : -1;
      if (stop.getAttribute("tabindex") !== String(tabIndex)) stop.tabIndex = tabIndex;
    }
  }

  #key(event) {
    const stops = this.#stops;
    const at = stops.indexOf(event.target.closest(this.#selector));
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: stops.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    stops[Math.max(0, Math.min(to, stops.length - 1))].focus();
  }
}
