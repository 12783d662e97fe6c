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
  #linkTo;
  #state = null;
  #error = null;
  /** @type {any} */
  #status = null;
  /** @type {any} */
  #dayLine = null;
  /** @type {any} */
  #unreadLine = null;

  /** `linkTo` gives a message's address, or nothing for one that has none. */
  constructor(message, { texts, days, linkTo }) {
    this.#message = message;
    this.#texts = texts;
    this.#days = days;
    this.#linkTo = linkTo;
    this.element = message.user ? this.#bubble() : this.#note();
    this.update();
  }

  /** Show the message's present state. */
  update() {
    const { state, error } = this.#message;
    if (state === this.#state && error === this.#error) return;
    [this.#state, this.#error] = [state, error];
    this.element.dataset.state = state;
    this.#status?.remove();
    this.#status = state === "sent" ? null : this.#statusLine(state, error);
    if (this.#status) this.element.querySelector(".fc-message__body").append(this.#status);
    this.#setTime();
  }

  /** Fit it into its surroundings: under the same author's last, below a day line, below the line of what is new. */
  arrange({ continued, newDay, firstUnread, since }) {
    this.element.classList.toggle("fc-message--continued", continued);
    if (newDay !== Boolean(this.#dayLine)) this.#toggleDayLine(newDay);
    if (firstUnread !== Boolean(this.#unreadLine)) this.#toggleUnreadLine(firstUnread, since);
  }

  /** Show that this is the one that was looked for, to the eye and to a screen reader. */
  mark() {
    this.element.classList.add("fc-message--found");
    this.element.focus({ preventScroll: true });
  }

  unmark() {
    this.element.classList.remove("fc-message--found");
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
      { class: classes.filter(Boolean).join(" "), tabindex: -1, data: { testid: "message", messageId: id } },
      own ? null : avatar(user.username),
      el("div", { class: "fc-message__body" }, this.#head(), this.#text()),
    );
  }

  #note() {
    const { id, text, private: isPrivate } = this.#message;
    const body = el("div", { class: "fc-message__body" }, el("p", { class: "fc-note", dir: "auto" }, linkify(text)));
    if (isPrivate) body.append(el("p", { class: "fc-status", text: this.#texts.get("for_you") }));
    const marks = { testid: "message", messageId: id };
    return el("div", { class: "fc-message fc-message--note", tabindex: -1, data: marks }, body);
  }

  #head() {
    const { user, own } = this.#message;
    const name = el("bdi", { text: own ? this.#texts.get("you") : user.username });
    return el(
      "div",
      { class: "fc-message__head" },
      el("span", { class: "fc-message__author", title: own ? null : user.username }, name),
      el("a", { class: "fc-message__time" }, el("time")),
    );
  }

  /** When it was said, as a link to it as soon as the server has given it a place. */
  #setTime() {
    const link = this.element.querySelector("a.fc-message__time");
    const { ts, seq } = this.#message;
    if (seq) this.element.dataset.seq = seq;
    if (!link) return;
    const time = link.firstChild;
    time.dateTime = new Date(ts).toISOString();
    time.textContent = this.#days.time(ts);
    link.title = this.#days.full(ts);
    const href = this.#linkTo(this.#message);
    if (!href) return;
    link.href = href;
    link.title = `${link.title} · ${this.#texts.get("copy_link")}`;
    link.setAttribute("aria-label", `${time.textContent}, ${this.#texts.get("copy_link")}`);
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
    if (state === "pending" && error)
      return el("p", { class: "fc-status fc-status--waiting", role: "status", text: error });
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

  #toggleUnreadLine(wanted, since) {
    this.#unreadLine?.remove();
    this.#unreadLine = wanted
      ? el(
          "div",
          { class: "fc-line fc-line--unread", data: { testid: "new-line" } },
          el("span", { text: this.#newSince(since) }),
        )
      : null;
    if (!wanted) return;
    if (this.#dayLine) this.#dayLine.after(this.#unreadLine);
    else this.element.prepend(this.#unreadLine);
  }

  #newSince(ts) {
    return ts ? this.#texts.get("new_since", { when: this.#days.moment(ts) }) : this.#texts.get("new");
  }
}
