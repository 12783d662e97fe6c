import { el, part } from "./dom.js";

/** Shown instead of messages while there are none: that they are coming, that they could not come, or that none is. */
export class LogState extends EventTarget {
  #log;
  #empty;
  #skeleton;
  #texts;
  #shown = null;

  constructor(root, { texts }) {
    super();
    this.#log = part(root, "log");
    this.#empty = part(root, "empty");
    this.#skeleton = part(root, "skeleton");
    this.#texts = texts;
    this.#empty.addEventListener("click", (event) => {
      if (event.target.closest("[data-action=reload]")) this.dispatchEvent(new Event("reload"));
    });
  }

  /** `emptyState` are the elements for a conversation in which nothing was said. */
  render(conversation, emptyState) {
    const { timeline, loading } = conversation;
    const nothing = timeline.messages.length === 0;
    const failed = !timeline.loaded && loading.whole !== "loading" && loading.whole;
    this.#log.setAttribute("aria-busy", String(loading.whole === "loading"));
    this.#skeleton.hidden = timeline.loaded || Boolean(failed) || !nothing;
    this.#empty.hidden = !(failed || (timeline.loaded && nothing && timeline.atStart));
    const wanted = failed || emptyState;
    if (this.#empty.hidden || wanted === this.#shown) return;
    this.#shown = wanted;
    this.#empty.replaceChildren(...(failed ? this.#failure(failed) : emptyState));
  }

  #failure(sentence) {
    const attributes = { type: "button", class: "fc-button", data: { action: "reload" } };
    return [
      el("p", { class: "fc-empty__title", text: this.#texts.get("not_loaded") }),
      el("p", { class: "fc-empty__hint", role: "alert", text: sentence }),
      el("button", { ...attributes, text: this.#texts.get("try_again") }),
    ];
  }
}
