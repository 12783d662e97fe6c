import { el, part } from "./dom.js";

const SHOWN_FOR = 7_000;
const AT_ONCE = 3;

/** Short sentences of the server that belong to no message; each goes by itself, or by a click. */
export class Toasts {
  #stack;
  #texts;

  constructor(root, { texts }) {
    this.#stack = part(root, "toasts");
    this.#texts = texts;
  }

  show(sentence) {
    const twin = [...this.#stack.children].find((toast) => toast.firstChild.textContent === sentence);
    twin?.remove();
    const label = this.#texts.get("dismiss");
    const close = el("button", { type: "button", class: "fc-toast__close", "aria-label": label, text: "×" });
    const toast = el("div", { class: "fc-toast", data: { testid: "toast" } }, el("span", { text: sentence }), close);
    close.addEventListener("click", () => toast.remove());
    this.#stack.append(toast);
    while (this.#stack.children.length > AT_ONCE) this.#stack.firstChild.remove();
    setTimeout(() => toast.remove(), SHOWN_FOR);
  }
}
