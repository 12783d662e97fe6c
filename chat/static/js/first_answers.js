/** Milliseconds after the start of the page in which its document's answers are used. */
const FRESH_FOR = 10_000;

/**
 * The API's answers to the page's first requests, which its document contains. Each is used once.
 *
 * The server writes them (chat/web/first_paint.py) by the path of the request, without its `limit`.
 */
export class FirstAnswers {
  #answers;
  #madeAt = performance.now();

  constructor(answers = {}) {
    this.#answers = new Map(Object.entries(answers));
  }

  /** Whether there is an answer to this request that is still fresh. */
  has(parts, query = {}) {
    return this.#areFresh && this.#answers.has(keyOf(parts, query));
  }

  /** The answer to this request, or undefined if there is none or it was taken before. */
  take(parts, query = {}) {
    const key = keyOf(parts, query);
    const answer = this.#areFresh ? this.#answers.get(key) : undefined;
    this.#answers.delete(key);
    return answer;
  }

  get #areFresh() {
    return performance.now() - this.#madeAt < FRESH_FOR;
  }
}

/**
 * @param {string[]} parts
 * @param {{limit?: number, [name: string]: any}} query
 */
function keyOf(parts, { limit: _, ...query }) {
  const rest = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const path = parts.map(encodeURIComponent).join("/");
  return rest.length ? `${path}?${new URLSearchParams(rest)}` : path;
}
