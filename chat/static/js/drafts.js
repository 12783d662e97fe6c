import { Kept } from "./kept.js";

/** What somebody began to write, kept for each conversation while the tab lives; of one user only. */
export class Drafts {
  #kept;

  constructor(userId) {
    this.#kept = new Kept("sessionStorage", `chat:${userId}:draft:`);
  }

  get(key) {
    return this.#kept.get(key) ?? "";
  }

  set(key, text) {
    this.#kept.set(key, text);
  }
}
