import { part } from "./dom.js";

/** In place of the composer, for who looks at a public room without being in it. Event: `join`. */
export class JoinBar extends EventTarget {
  #bar;
  #composer;
  #words;
  #texts;

  constructor(root, { texts }) {
    super();
    this.#bar = part(root, "join-bar");
    this.#composer = part(root, "composer");
    this.#words = part(root, "join-words");
    this.#texts = texts;
    part(root, "join").addEventListener("click", () => this.dispatchEvent(new CustomEvent("join")));
  }

  render({ isMember }, title) {
    this.#bar.hidden = isMember;
    this.#composer.hidden = !isMember;
    this.#words.textContent = this.#texts.get("not_in_room", { name: title });
  }
}
