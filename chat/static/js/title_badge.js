/** The page's title: where one is, and before it the count of what is unread: "(3) Design · Chat". */
export class TitleBadge {
  #title = document.title;
  #name = "";
  #count = "";

  show(count, label) {
    this.#count = count ? `(${label}) ` : "";
    this.#write();
  }

  /** Another conversation; the main one needs no name. */
  turnTo(name) {
    this.#name = name ? `${name} · ` : "";
    this.#write();
  }

  #write() {
    const title = `${this.#count}${this.#name}${this.#title}`;
    if (title !== document.title) document.title = title;
  }
}
