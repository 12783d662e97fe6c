import { el } from "./dom.js";
import { highlight } from "./highlight.js";

/** One message that was found, as a link to it: who said it, where and when, and the words around the find. */
export class SearchResult {
  constructor({ user, data, ts }, { words, href, title, texts, days }) {
    const when = el("time", { text: days.short(ts), title: days.full(ts) });
    when.dateTime = new Date(ts).toISOString();
    const name = user?.username ?? texts.get("the_house");
    const head = [el("bdi", { class: "fc-found__author", text: name }), el("span", { class: "fc-found__when" }, when)];
    const link = el(
      "a",
      { class: "fc-found", href, tabindex: -1, data: { testid: "search-result" } },
      el("span", { class: "fc-found__head" }, ...head),
      el("span", { class: "fc-found__text", dir: "auto" }, highlight(data, words)),
      el("bdi", { class: "fc-found__room", text: title }),
    );
    this.element = el("li", {}, link);
  }
}
