import { Dialog } from "./dialog.js";
import { part } from "./dom.js";

/** Small dialogs about one room: its topic, one of its members, whether to leave it. */
export class RoomDialogs {
  #root;
  #texts;
  #about;
  #member;
  #leave;
  /** @type {((form: FormData) => Promise<void>) | null} */
  #action = null;

  constructor(root, { texts }) {
    this.#root = root;
    this.#texts = texts;
    this.#about = new Dialog(root, "about", { submit: (form) => this.#act(this.#about, form) });
    this.#member = new Dialog(root, "member", { submit: (form) => this.#act(this.#member, form) });
    this.#leave = new Dialog(root, "leave", { submit: (form) => this.#act(this.#leave, form) });
  }

  /** Ask for another topic, and where it can have one, another title; `action` gets {title?, topic}. */
  about({ kind, title, topic }, action) {
    const titled = kind === "private";
    this.#part("about-name").hidden = !titled;
    this.#part("about-title").required = titled;
    this.#open(this.#about, (form) => {
      const change = { topic: form.get("topic").trim() };
      return action(titled ? { ...change, title: form.get("title").trim() } : change);
    });
    this.#part("about-title").value = titled ? title : "";
    this.#part("about-topic").value = topic;
    this.#part(titled ? "about-title" : "about-topic").focus();
  }

  /** Ask what to do with a member; `action` gets "admin", "member" or "remove". */
  member({ username, role }, myRole, action) {
    this.#part("member-heading").textContent = username;
    this.#part("member-promote").hidden = myRole !== "owner" || role === "admin" || role === "owner";
    this.#part("member-demote").hidden = myRole !== "owner" || role === "member";
    this.#open(this.#member, (form) => action(form.get("do")));
  }

  /** Ask whether to leave a room that one cannot come back to by oneself. */
  leave(title, action) {
    this.#part("leave-heading").textContent = this.#texts.get("leave_title", { name: title });
    this.#open(this.#leave, action);
  }

  #open(dialog, action) {
    this.#action = action;
    dialog.open();
  }

  async #act(dialog, form) {
    await this.#action?.(form);
    dialog.close();
  }

  #part(name) {
    return part(this.#root, name);
  }
}
