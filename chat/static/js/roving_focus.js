/** Makes a list of buttons one stop of the Tab key, with arrows, Home and End to move inside it. */
export class RovingFocus {
  #list;

  constructor(list) {
    this.#list = list;
    list.addEventListener("keydown", (event) => this.#key(event));
    list.addEventListener("focusin", (event) => this.#makeStop(event.target.closest("button")));
  }

  /** The buttons changed: see to it that exactly one of them is the Tab key's stop. */
  refresh() {
    const buttons = this.#buttons();
    if (!buttons.some((button) => button.tabIndex === 0)) this.#makeStop(buttons[0]);
  }

  #buttons() {
    return [...this.#list.querySelectorAll("button:not(:disabled)")];
  }

  #makeStop(stop) {
    for (const button of this.#buttons()) button.tabIndex = button === stop ? 0 : -1;
  }

  #key(event) {
    const buttons = this.#buttons();
    const at = buttons.indexOf(event.target.closest("button"));
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    buttons[Math.max(0, Math.min(to, buttons.length - 1))].focus();
  }
}
