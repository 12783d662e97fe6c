import { avatar } from "./avatar.js";
import { Dialog } from "./dialog.js";
import { el, part } from "./dom.js";
import { RovingFocus } from "./roving_focus.js";

const SUGGESTED = 6;

/**
 * Finds somebody by name: those whom the page knows while one types, everybody by the whole name.
 *
 * `open` says what for; what it gives as `choose` gets the name, and may throw what is wrong with it.
 */
export class PersonDialog {
  #dialog;
  #heading;
  #field;
  #button;
  #list;
  #said;
  #roving;
  #known = [];
  /** @type {((name: string) => Promise<void>) | null} */
  #choose = null;

  constructor(root) {
    this.#heading = part(root, "person-heading");
    this.#field = part(root, "person-field");
    this.#button = part(root, "person-button");
    this.#list = part(root, "person-list");
    this.#said = part(root, "person-said");
    this.#roving = new RovingFocus(this.#list);
    this.#dialog = new Dialog(root, "person", { submit: () => this.#chosen(this.#field.value.trim()) });
    this.#field.addEventListener("input", () => this.#suggest());
    this.#field.addEventListener("keydown", (event) => this.#key(event));
  }

  /** `known` are the names to suggest. */
  open({ heading, button, known, choose }) {
    this.#heading.textContent = heading;
    this.#button.textContent = button;
    this.#known = known;
    this.#choose = choose;
    this.#said.textContent = "";
    this.#dialog.open();
    this.#suggest();
    this.#field.focus();
  }

  close() {
    this.#dialog.close();
  }

  /** Say what came of it, and let the reader find the next one. */
  done(sentence, name) {
    this.#said.textContent = sentence;
    this.#known = this.#known.filter((known) => known !== name);
    this.#field.value = "";
    this.#suggest();
    this.#field.focus();
  }

  async #chosen(name) {
    if (name) await this.#choose?.(name);
  }

  #suggest() {
    const wanted = this.#field.value.trim().toLocaleLowerCase();
    const found = this.#known.filter((name) => name.toLocaleLowerCase().includes(wanted)).slice(0, SUGGESTED);
    this.#list.replaceChildren(...found.map((name) => this.#row(name)));
    this.#roving.refresh();
  }

  #row(name) {
    const button = el(
      "button",
      { type: "submit", class: "fc-row", tabindex: -1, title: name, data: { testid: "suggestion" } },
      el("span", { class: "fc-row__avatar" }, avatar(name, { small: true })),
      el("bdi", { class: "fc-row__name", text: name }),
    );
    button.addEventListener("click", () => (this.#field.value = name));
    return el("li", {}, button);
  }

  #key(event) {
    const first = this.#list.querySelector("button");
    if (event.key !== "ArrowDown" || event.isComposing || !first) return;
    event.preventDefault();
    first.focus();
  }
}
