/** What somebody began to write, kept for each conversation while the tab lives; of one user only. */
export class Drafts {
  #prefix;

  constructor(userId) {
    this.#prefix = `chat:${userId}:draft:`;
  }

  get(key) {
    try {
      return sessionStorage.getItem(this.#prefix + key) ?? "";
    } catch {
      return "";
    }
  }

  set(key, text) {
    try {
      if (text) sessionStorage.setItem(this.#prefix + key, text);
      else sessionStorage.removeItem(this.#prefix + key);
    } catch {
      // Storage is full or forbidden: the draft then lives as long as the composer shows it.
    }
  }
}
