import { Dialog } from "./dialog.js";
import { el, part } from "./dom.js";
import { LOBBY } from "./protocol.js";
import { RovingFocus } from "./roving_focus.js";

const TYPING = 250;
const PAGE = 30;

/**
 * All public rooms, to look for one and join it.
 *
 * Events: `choose` with the room's name, of one that one is in or wants to be in; `create` with what was looked for.
 */
export class DirectoryDialog extends EventTarget {
  #dialog;
  #field;
  #list;
  #state;
  #more;
  #texts;
  #api;
  #roving;
  #next = null;
  #timer = 0;
  #request = 0;

  constructor(root, { texts, api, mayCreate }) {
    super();
    this.#field = part(root, "directory-field");
    this.#list = part(root, "directory-list");
    this.#state = part(root, "directory-state");
    this.#more = part(root, "directory-more");
    this.#texts = texts;
    this.#api = api;
    this.#roving = new RovingFocus(this.#list);
    this.#dialog = new Dialog(root, "directory", { submit: () => this.#search() });
    this.#field.addEventListener("input", () => this.#later());
    this.#field.addEventListener("keydown", (event) => this.#key(event));
    this.#more.addEventListener("click", () => this.#search({ on: true }));
    const create = part(root, "directory-create");
    create.hidden = !mayCreate;
    create.addEventListener("click", () => this.#create());
  }

  open() {
    this.#dialog.open();
    this.#list.replaceChildren();
    this.#field.focus();
    this.#search();
  }

  close() {
    this.#dialog.close();
  }

  say(sentence) {
    this.#dialog.say(sentence);
  }

  #create() {
    const words = this.#field.value.trim();
    this.close();
    this.dispatchEvent(new CustomEvent("create", { detail: words }));
  }

  #later() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#search(), TYPING);
  }

  async #search({ on = false } = {}) {
    clearTimeout(this.#timer);
    const request = ++this.#request;
    this.#say(this.#texts.get("searching"), this.#list.childElementCount > 0);
    this.#more.hidden = true;
    const query = { q: this.#field.value.trim(), after: on ? this.#next : null, limit: PAGE };
    try {
      const answer = await this.#api.get(["directory"], query);
      if (request === this.#request) this.#show(answer, { on });
    } catch (error) {
      if (request === this.#request) this.#fail(error, { on });
    }
  }

  #show({ rooms, next }, { on }) {
    const rows = rooms.map((room) => this.#row(room));
    if (on) this.#list.append(...rows);
    else this.#list.replaceChildren(...rows);
    this.#roving.refresh();
    this.#next = next;
    this.#more.hidden = !next;
    this.#more.textContent = this.#texts.get("show_more");
    const nothing = !this.#list.childElementCount;
    this.#say(
      nothing ? this.#texts.get("no_room") : this.#texts.count("rooms", this.#list.childElementCount),
      !nothing,
    );
  }

  #fail({ message }, { on }) {
    if (!on) this.#next = null;
    this.#say(message);
    this.#more.hidden = false;
    this.#more.textContent = this.#texts.get("try_again");
  }

  /** Say how it stands; for the ears only, where the eye sees the rooms. */
  #say(words, quiet = false) {
    this.#state.textContent = words;
    this.#state.classList.toggle("fc-hidden", quiet);
  }

  #row({ name, title, topic, joined }) {
    const words = name === LOBBY ? this.#texts.get("room") : title || name;
    const action = this.#texts.get(joined ? "open_room" : "join_room");
    const button = el(
      "button",
      { type: "button", class: "fc-row fc-row--tall", tabindex: -1, data: { testid: "directory-item" } },
      el("span", { class: "fc-row__avatar" }, el("span", { class: "fc-row__room", "aria-hidden": "true", text: "#" })),
      el(
        "span",
        { class: "fc-row__lines" },
        el("bdi", { class: "fc-row__name", text: words }),
        topic ? el("span", { class: "fc-row__topic", dir: "auto", text: topic }) : null,
      ),
      el("span", { class: joined ? "fc-row__hint" : "fc-row__hint fc-row__hint--action", text: action }),
    );
    button.title = words;
    button.addEventListener("click", () => this.dispatchEvent(new CustomEvent("choose", { detail: name })));
    return el("li", {}, button);
  }

  #key(event) {
    const first = this.#list.querySelector("button");
    if (event.key !== "ArrowDown" || event.isComposing || !first) return;
    event.preventDefault();
    first.focus();
  }
}
