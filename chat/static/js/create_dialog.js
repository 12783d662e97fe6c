import { Dialog } from "./dialog.js";
import { part } from "./dom.js";

/** Makes a room. Event: `created` with the room as the API describes it. */
export class CreateDialog extends EventTarget {
  #dialog;
  #title;
  #api;

  constructor(root, { api }) {
    super();
    this.#api = api;
    this.#title = part(root, "create-title");
    this.#dialog = new Dialog(root, "create", { submit: (form) => this.#create(form) });
  }

  /** Open it, with a title that was looked for and not found. */
  open(title = "") {
    this.#dialog.open();
    this.#title.value = title;
    this.#title.focus();
  }

  async #create(form) {
    const title = form.get("title").trim();
    const topic = form.get("topic").trim();
    const room = await this.#api.post(["rooms"], { title, kind: form.get("kind"), topic });
    this.#dialog.close();
    this.dispatchEvent(new CustomEvent("created", { detail: room }));
  }
}
