/** The page's title with the count of what is unread: "(3) Chat". */
export class TitleBadge {
  #title = document.title;
  #shown = 0;

  show(count, label) {
    if (count === this.#shown) return;
    this.#shown = count;
    document.title = count ? `(${label}) ${this.#title}` : this.#title;
  }
}
