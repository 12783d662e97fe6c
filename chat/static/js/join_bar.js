import { part } from "./dom.js";

/**
 * In place of the composer, for who looks at a public room without being in it, and where the other account was deleted.
 *
 * Event: `join`.
 */
export class JoinBar extends EventTarget {
  #bar;
  #composer;
  #button;
  #words;
  #texts;

  constructor(root, { texts }) {
    super();
    this.#bar = part(root, "join-bar");
    this.#composer = part(root, "composer");
    this.#words = part(root, "join-words");
    this.#texts = texts;
    this.#button = part(root, "join");
    this.#button.addEventListener("click", () => this.dispatchEvent(new CustomEvent("join")));
  }

  render({ isMember, person }, title) {
    const isClosed = Boolean(person?.deleted);
    this.#bar.hidden = isMember && !isClosed;
    this.#composer.hidden = !isMember || isClosed;
    this.#button.hidden = isClosed;
    this.#words.textContent = isClosed ? this.#texts.get("gone_peer") : this.#texts.get("not_in_room", { name: title });
  }
}
