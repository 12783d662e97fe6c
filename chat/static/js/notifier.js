import { part } from "./dom.js";

/** Desktop notifications, if the reader switches them on; the browser is asked only then. */
export class Notifier {
  #button;
  #texts;
  #key;
  #on;

  constructor(root, { texts, userId }) {
    this.#button = part(root, "notify");
    this.#texts = texts;
    this.#key = `chat:${userId}:notify`;
    if (!("Notification" in window)) return;
    this.#on = this.#stored() && Notification.permission === "granted";
    this.#button.hidden = false;
    this.#button.addEventListener("click", () => this.#toggle());
    this.#refresh();
  }

  /** Tell of a message; one notification a conversation, the newest. */
  tell(title, text, tag, opened) {
    if (!this.#on || Notification.permission !== "granted") return;
    try {
      const notification = new Notification(title, { body: text.slice(0, 200), tag });
      notification.onclick = () => {
        window.focus();
        opened();
        notification.close();
      };
    } catch {
      // Some phones only allow notifications of a service worker, which the chat does without.
    }
  }

  async #toggle() {
    if (this.#on) this.#on = false;
    else this.#on = (await Notification.requestPermission()) === "granted";
    this.#store();
    this.#refresh();
  }

  #refresh() {
    const blocked = Notification.permission === "denied";
    const label = this.#texts.get(blocked ? "notify_blocked" : this.#on ? "notify_on" : "notify_off");
    this.#button.setAttribute("aria-pressed", String(Boolean(this.#on)));
    this.#button.setAttribute("aria-label", label);
    this.#button.title = label;
    this.#button.disabled = blocked;
  }

  #stored() {
    try {
      return localStorage.getItem(this.#key) === "1";
    } catch {
      return false;
    }
  }

  #store() {
    try {
      localStorage.setItem(this.#key, this.#on ? "1" : "0");
    } catch {
      // Without storage the choice holds until the page is left.
    }
  }
}
