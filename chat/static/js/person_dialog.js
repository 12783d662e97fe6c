import { avatar } from "./avatar.js";
import { Dialog } from "./dialog.js";
import { el, part } from "./dom.js";
import { RovingFocus } from "./roving_focus.js";

const SUGGESTED = 6;

/**
 * Finds somebody by name: those whom the page knows while one types, everybody by the whole name.
 *
 * `open` says what for; what it gives as `choose` gets {id, username}, without an id if the name was typed, and may throw
 * what is wrong with it. If that has `users`, the reader chooses between them.
 */
export class PersonDialog {
  #dialog;
  #heading;
  #field;
  #button;
  #list;
  #said;
  #roving;
  /** @type {import("./types").Person[]} */
  #known = [];
  /** @type {import("./types").Person | null} */
  #picked = null;
  /** @type {((person: {id?: string, username: string}) => Promise<void>) | null} */
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

  /** `known` are the people to suggest. */
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
  done(sentence, { id }) {
    this.#said.textContent = sentence;
    this.#known = this.#known.filter((known) => known.id !== id);
    this.#field.value = "";
    this.#suggest();
    this.#field.focus();
  }

  async #chosen(username) {
    const picked = this.#picked;
    this.#picked = null;
    if (!username) return;
    try {
      await this.#choose?.(picked && picked.username.trim() === username ? picked : { username });
    } catch (error) {
      if (error.users?.length) this.#show(error.users);
      throw error;
    }
  }

  #suggest() {
    const wanted = this.#field.value.trim().toLocaleLowerCase();
    this.#show(this.#known.filter(({ username }) => username.toLocaleLowerCase().includes(wanted)).slice(0, SUGGESTED));
  }

  #show(people) {
    this.#list.replaceChildren(...people.map((person) => this.#row(person)));
    this.#roving.refresh();
  }

  #row(person) {
    const name = person.username;
    const button = el(
      "button",
      { type: "submit", class: "fc-row", tabindex: -1, title: name, data: { testid: "suggestion" } },
      el("span", { class: "fc-row__avatar" }, avatar(name, { small: true })),
      el("bdi", { class: "fc-row__name", text: name }),
    );
    button.addEventListener("click", () => {
      this.#field.value = name.trim();
      this.#picked = person;
    });
    return el("li", {}, button);
  }

  #key(event) {
    const first = this.#list.querySelector("button");
    if (event.key !== "ArrowDown" || event.isComposing || !first) return;
    event.preventDefault();
    first.focus();
  }
}
