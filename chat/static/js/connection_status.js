import { TRIABLE } from "./connection.js";
import { el, part } from "./dom.js";

const UNAUTHORIZED = 401;

/** The connection in words, with a countdown and what can be done about it. Event: `retry`. */
export class ConnectionStatus extends EventTarget {
  #element;
  #words;
  #action;
  #announcer;
  #texts;
  #loginPath;
  #tick = 0;
  #said = null;

  constructor(root, { texts, loginPath }) {
    super();
    this.#element = part(root, "connection");
    this.#words = part(root, "connection-words");
    this.#action = part(root, "connection-action");
    this.#announcer = part(root, "connection-announcer");
    this.#texts = texts;
    this.#loginPath = loginPath;
  }

  /** Show a `state` event's detail. */
  show(state) {
    clearInterval(this.#tick);
    this.#element.dataset.state = state.name;
    this.#action.replaceChildren(...this.#actions(state));
    this.#write(state);
    this.#announce(this.#explanation(state));
    if (state.retryAt) this.#tick = setInterval(() => this.#write(state), 500);
  }

  #write(state) {
    const words = this.#explanation(state);
    const seconds = state.retryAt ? Math.ceil((state.retryAt - Date.now()) / 1000) : 0;
    this.#words.textContent = seconds > 0 ? `${words} ${this.#texts.count("retry", seconds)}` : words;
  }

  #explanation({ name, why, status, again, sentence }) {
    if (sentence) return sentence;
    if (name === "no_token") return this.#texts.get(why, { status });
    if (name === "reconnecting") return this.#texts.get(why);
    if (name === "connecting" && again) return this.#texts.get("reconnecting");
    return this.#texts.get(name);
  }

  #actions(state) {
    if (state.name === "no_token") return this.#actionsWithoutToken(state);
    if (TRIABLE.has(state.name) && state.why !== "flooding") return [this.#button("retry_now")];
    if (state.name === "other_user") return [this.#link("reload", location.href)];
    if (state.name === "signed_out" && this.#loginPath) return [this.#link("sign_in", this.#loginAddress())];
    return [];
  }

  /** A log-in helps where the site showed another page, or said so. */
  #actionsWithoutToken({ why, status }) {
    const again = this.#button("try_again");
    const helps = why === "token_elsewhere" || status === UNAUTHORIZED;
    return helps && this.#loginPath ? [this.#link("sign_in", this.#loginAddress()), " ", again] : [again];
  }

  #button(key) {
    const button = el("button", { type: "button", class: "fc-link", text: this.#texts.get(key) });
    button.addEventListener("click", () => this.dispatchEvent(new Event("retry")));
    return button;
  }

  #link(key, href) {
    return el("a", { class: "fc-link", href, text: this.#texts.get(key) });
  }

  /** The log-in page, told to lead back here. */
  #loginAddress() {
    const address = new URL(this.#loginPath, location.href);
    address.searchParams.set("next", location.pathname + location.search);
    return address.href;
  }

  /** For a screen reader: the news, once; not every second of a countdown. */
  #announce(words) {
    if (words === this.#said) return;
    const first = this.#said === null;
    this.#said = words;
    if (!first) this.#announcer.textContent = words;
  }
}
