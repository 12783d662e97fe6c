import { part } from "./dom.js";
import { RovingFocus } from "./roving_focus.js";
import { SearchResult } from "./search_result.js";

/** After the last key the reader is given this long. */
const TYPING = 300;
const PAGE = 20;

/** Looks for messages, in one room or in all. Event: `visit` with {room, at} of the one that was chosen. */
export class SearchPanel extends EventTarget {
  #field;
  #scopes;
  #list;
  #state;
  #more;
  #texts;
  #days;
  #api;
  #titleOf;
  #links;
  #roving;
  /** @type {any} the Conversation that "in this room" means */
  #conversation = null;
  #next = null;
  #count = 0;
  #timer = 0;
  #request = 0;

  constructor(root, { texts, days, api, links, titleOf }) {
    super();
    this.#field = part(root, "search-field");
    this.#scopes = { room: part(root, "search-room"), all: part(root, "search-all") };
    this.#list = part(root, "search-results");
    this.#state = part(root, "search-state");
    this.#more = part(root, "search-more");
    this.#texts = texts;
    this.#days = days;
    this.#api = api;
    this.#links = links;
    this.#titleOf = titleOf;
    this.#roving = new RovingFocus(this.#list, { selector: "a" });
    part(root, "search-form").addEventListener("submit", (event) => this.#submit(event));
    this.#field.addEventListener("input", () => this.#later());
    this.#field.addEventListener("keydown", (event) => this.#key(event));
    for (const scope of Object.values(this.#scopes)) scope.addEventListener("change", () => this.#search());
    this.#more.addEventListener("click", () => this.#search({ on: true }));
    this.#list.addEventListener("click", (event) => this.#clicked(event));
  }

  /** The room that "in this room" means. */
  turnTo(conversation) {
    if (conversation === this.#conversation) return;
    this.#conversation = conversation;
    this.#scopes.room.disabled = conversation.ephemeral;
    // What was found everywhere stays while its messages are looked at one by one.
    if (this.#scopes.room.checked && this.#words) this.#search();
  }

  get #words() {
    return this.#field.value.trim();
  }

  #submit(event) {
    event.preventDefault();
    this.#search();
  }

  #later() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#search(), TYPING);
  }

  async #search({ on = false } = {}) {
    clearTimeout(this.#timer);
    const request = ++this.#request;
    const words = this.#words;
    if (!words) return this.#clear();
    this.#say(this.#texts.get("searching"));
    this.#more.hidden = true;
    const room = this.#scopes.room.checked ? this.#conversation.name : null;
    const query = { q: words, room, before: on ? this.#next : null, limit: PAGE };
    try {
      const answer = await this.#api.get(["search"], query);
      if (request === this.#request) this.#show(answer, words, { on });
    } catch (error) {
      if (request === this.#request) this.#fail(error, { on });
    }
  }

  #clear() {
    this.#list.replaceChildren();
    this.#more.hidden = true;
    this.#say("");
  }

  #show({ messages, next }, words, { on }) {
    const results = messages.map((message) => this.#result(message, words));
    this.#count = results.length + (on ? this.#count : 0);
    if (on) this.#list.append(...results);
    else this.#list.replaceChildren(...results);
    this.#list.classList.toggle("fc-founds--here", this.#scopes.room.checked);
    this.#roving.refresh();
    this.#next = next;
    this.#more.hidden = !next;
    this.#more.textContent = this.#texts.get("show_more");
    if (on) results[0]?.firstChild.focus();
    this.#say(
      this.#count ? this.#texts.count(next ? "found_more" : "found", this.#count) : this.#texts.get("found_none"),
    );
  }

  #fail({ message }, { on }) {
    if (!on) this.#list.replaceChildren();
    this.#say(message);
    this.#more.hidden = false;
    this.#more.textContent = this.#texts.get("try_again");
    if (!on) this.#next = null;
  }

  #result(message, words) {
    const href = this.#links.to(message.room, message.seq);
    const title = this.#titleOf(message.room);
    return new SearchResult(message, { words, href, title, texts: this.#texts, days: this.#days }).element;
  }

  #clicked(event) {
    const link = event.target.closest("a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    for (const other of this.#list.querySelectorAll("[aria-current]")) other.removeAttribute("aria-current");
    link.setAttribute("aria-current", "true");
    this.dispatchEvent(new CustomEvent("visit", { detail: this.#links.read(link.href) }));
  }

  /** The arrow leads from the field into the results. */
  #key(event) {
    const first = this.#list.querySelector("a");
    if (event.key !== "ArrowDown" || event.isComposing || !first) return;
    event.preventDefault();
    first.focus();
  }

  #say(words) {
    this.#state.textContent = words;
    this.#state.hidden = !words;
  }
}
