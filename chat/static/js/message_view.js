import { avatar } from "./avatar.js";
import { el } from "./dom.js";
import { linkify } from "./linkify.js";

/** Beyond this a message is shown folded. */
const LONG_CHARACTERS = 1_500;
const LONG_LINES = 24;

/** One message as an element. What it says never changes; its state, its lines above and its grouping do. */
export class MessageView {
  #message;
  #texts;
  #days;
  #state = null;
  #status = null;
  #dayLine = null;
  #unreadLine = null;

  constructor(message, { texts, days }) {
    this.#message = message;
    this.#texts = texts;
    this.#days = days;
    this.element = message.user ? this.#bubble() : this.#note();
    this.update();
  }

  /** Show the message's present state. */
  update() {
    const { state, error } = this.#message;
    if (state === this.#state) return;
    this.#state = state;
    this.element.dataset.state = state;
    this.#status?.remove();
    this.#status = state === "sent" ? null : this.#statusLine(state, error);
    if (this.#status) this.element.querySelector(".fc-message__body").append(this.#status);
    this.#setTime();
  }

  /** Fit it into its surroundings: under the same author's last, below a day line, below the unread line. */
  arrange({ continued, newDay, firstUnread }) {
    this.element.classList.toggle("fc-message--continued", continued);
    if (newDay !== Boolean(this.#dayLine)) this.#toggleDayLine(newDay);
    if (firstUnread !== Boolean(this.#unreadLine)) this.#toggleUnreadLine(firstUnread);
  }

  /** A new day has begun: "Today" is now "Yesterday". */
  relabelDay() {
    if (this.#dayLine) this.#dayLine.firstChild.textContent = this.#days.label(this.#message.ts);
  }

  #bubble() {
    const { id, user, own, mention } = this.#message;
    const classes = ["fc-message", own && "fc-message--own", mention && "fc-message--mention"];
    return el(
      "div",
      { class: classes.filter(Boolean).join(" "), data: { testid: "message", messageId: id } },
      own ? null : avatar(user.username),
      el("div", { class: "fc-message__body" }, this.#head(), this.#text()),
    );
  }

  #note() {
    const { id, note, count, text, private: isPrivate } = this.#message;
    const words = note ? this.#texts.count(note, count) : text;
    const body = el("div", { class: "fc-message__body" }, el("p", { class: "fc-note", dir: "auto" }, linkify(words)));
    if (isPrivate) body.append(el("p", { class: "fc-status", text: this.#texts.get("for_you") }));
    return el("div", { class: "fc-message fc-message--note", data: { testid: "message", messageId: id } }, body);
  }

  #head() {
    const { user, own } = this.#message;
    const name = el("bdi", { text: own ? this.#texts.get("you") : user.username });
    return el(
      "div",
      { class: "fc-message__head" },
      el("span", { class: "fc-message__author", title: own ? null : user.username }, name),
      el("time", { class: "fc-message__time" }),
    );
  }

  #setTime() {
    const time = this.element.querySelector("time.fc-message__time");
    if (!time) return;
    const { ts } = this.#message;
    time.dateTime = new Date(ts).toISOString();
    time.title = this.#days.full(ts);
    time.textContent = this.#days.time(ts);
  }

  #text() {
    const { text } = this.#message;
    const content = el("div", { class: "fc-message__text", dir: "auto" }, linkify(text));
    const bubble = el("div", { class: "fc-bubble" }, content);
    const lines = text.split("\n", LONG_LINES + 1).length;
    if (text.length > LONG_CHARACTERS || lines > LONG_LINES) this.#fold(bubble, content);
    return bubble;
  }

  #fold(bubble, content) {
    content.classList.add("fc-message__text--folded");
    const button = el("button", { type: "button", class: "fc-link", text: this.#texts.get("show_all") });
    button.addEventListener("click", () => {
      content.classList.remove("fc-message__text--folded");
      button.remove();
    });
    bubble.append(button);
  }

  #statusLine(state, error) {
    if (state === "pending") return el("p", { class: "fc-status", text: this.#texts.get("sending") });
    return el(
      "p",
      { class: "fc-status fc-status--failed", role: "alert" },
      `${this.#texts.get("not_sent")} ${error ?? ""} `,
      el("button", { type: "button", class: "fc-link", data: { action: "retry" }, text: this.#texts.get("retry") }),
      el("button", { type: "button", class: "fc-link", data: { action: "discard" }, text: this.#texts.get("discard") }),
    );
  }

  #toggleDayLine(wanted) {
    this.#dayLine?.remove();
    this.#dayLine = wanted ? el("div", { class: "fc-line fc-line--day" }, el("span")) : null;
    if (!wanted) return;
    this.element.prepend(this.#dayLine);
    this.relabelDay();
  }

  #toggleUnreadLine(wanted) {
    this.#unreadLine?.remove();
    this.#unreadLine = wanted
      ? el("div", { class: "fc-line fc-line--unread" }, el("span", { text: this.#texts.get("new") }))
      : null;
    if (!wanted) return;
    if (this.#dayLine) this.#dayLine.after(this.#unreadLine);
    else this.element.prepend(this.#unreadLine);
  }
}
