import { el } from "./dom.js";

/**
 * One end of the window into a conversation: says that more is being loaded, that it could not be, or that there is none.
 *
 * Event: `more` when the reader asks for more, or for another try.
 */
export class HistoryEdge extends EventTarget {
  #element;
  #texts;
  #key;
  #shown = "";

  /** `key` is "older" or "newer". */
  constructor(element, { texts, key }) {
    super();
    this.#element = element;
    this.#texts = texts;
    this.#key = key;
    element.addEventListener(
      "click",
      (event) => event.target.closest("button") && this.dispatchEvent(new Event("more")),
    );
  }

  /** `loading` is null, "loading" or an error's sentence; `end` the words for where there is no more, if any. */
  render({ hidden, loading, isEnd, end = "" }) {
    const state = hidden ? "none" : loading === "loading" ? "loading" : loading ? "error" : isEnd ? "end" : "more";
    const shown = `${state} ${loading} ${end}`;
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#element.dataset.state = state;
    this.#element.replaceChildren(...this.#content(state, loading, end));
  }

  #content(state, sentence, end) {
    const text = (name) => this.#texts.get(`${name}_${this.#key}`);
    if (state === "loading") return [spinner(), el("span", { text: text("loading") })];
    if (state === "error") return [el("span", { role: "alert", text: sentence }), link(this.#texts.get("try_again"))];
    if (state === "more") return [link(text("load"))];
    return state === "end" && end ? [el("span", { dir: "auto", text: end })] : [];
  }
}

export function spinner() {
  return el("span", { class: "fc-spinner", "aria-hidden": "true" });
}

function link(text) {
  return el("button", { type: "button", class: "fc-link", text });
}
