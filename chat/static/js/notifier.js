import { part } from "./dom.js";
import { Kept } from "./kept.js";

/** Desktop notifications, if the reader switches them on; the browser is asked only then. */
export class Notifier {
  #button;
  #texts;
  #kept;
  #on;

  constructor(root, { texts, userId }) {
    this.#button = part(root, "notify");
    this.#texts = texts;
    this.#kept = new Kept("localStorage", `chat:${userId}:`);
    if (!("Notification" in window)) return;
    this.#on = Boolean(this.#kept.get("notify")) && Notification.permission === "granted";
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
    this.#kept.set("notify", this.#on);
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
}
