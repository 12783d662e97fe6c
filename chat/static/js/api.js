import { Banned, isJson, OtherUser, Refused, SignedOut } from "./token_source.js";

const PATIENCE = 15_000;

/** A 429 is waited for so often, if it takes no longer than this: a reader would press the button again. */
const WAITS = 3;
const LONGEST_WAIT = 5_000;

/**
 * An answer that says no. `message` is a sentence for the reader; `code` and `status` say which no it is, `users` between
 * whom the reader has to choose.
 */
export class ApiError extends Error {
  /** @param {string} sentence @param {{code?: string, status?: number, users?: import("./types").Person[]}} what */
  constructor(sentence, { code = "", status = 0, users = [] } = {}) {
    super(sentence);
    this.users = users;
    this.code = code;
    this.status = status;
  }
}

/**
 * The chat's JSON API, as the user whose tokens these are. `first` holds the answers that came with the page;
 * `headers()` gives the headers that the site's own protection wants on every request that changes something.
 *
 * Each call gives the answer's JSON (null where there is none) or throws an ApiError, never anything else.
 */
export class Api {
  #path;
  #tokens;
  #texts;
  #language;
  #first;
  #headers;

  constructor({ path, tokens, texts, language, first, headers = () => ({}) }) {
    this.#path = path;
    this.#tokens = tokens;
    this.#texts = texts;
    this.#language = language;
    this.#first = first;
    this.#headers = headers;
  }

  async get(parts, query = {}) {
    return this.#first.take(parts, query) ?? this.#call("GET", parts, { query });
  }

  post(parts, body = {}) {
    return this.#call("POST", parts, { body });
  }

  patch(parts, body) {
    return this.#call("PATCH", parts, { body });
  }

  delete(parts) {
    return this.#call("DELETE", parts, {});
  }

  /**
   * A 401 may mean a token that has just ended: once, a fresh one is tried.
   * @param {string} method
   * @param {string[]} parts
   * @param {{query?: object, body?: object}} sent
   */
  async #call(method, parts, { query, body }) {
    const address = this.#address(parts, query);
    let response = await this.#askInTime(method, address, body, () => this.#tokens.get());
    if (response.status === 401) {
      response = await this.#askInTime(method, address, body, () => this.#tokens.fresh());
    }
    return this.#answer(response);
  }

  /** Ask, and again where the server has too many requests and says when it has fewer: it did nothing yet. */
  async #askInTime(method, address, body, getToken) {
    for (let waits = 0; ; waits++) {
      const response = await this.#ask(method, address, body, await this.#token(getToken));
      const pause = response.status === 429 ? Number(response.headers.get("Retry-After")) * 1000 : 0;
      if (!pause || pause > LONGEST_WAIT || waits === WAITS) return response;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  /** `parts` are the steps of the path, each made safe: names of rooms and people may hold anything. */
  #address(parts, query = {}) {
    const address = new URL([this.#path, ...parts.map(encodeURIComponent)].join("/"), location.href);
    for (const [name, value] of Object.entries(query)) {
      if (value !== null && value !== undefined && value !== "") address.searchParams.set(name, value);
    }
    return address;
  }

  async #token(get) {
    try {
      return await get();
    } catch (error) {
      if (error instanceof Banned) throw new ApiError(error.message, { code: "banned" });
      if (error instanceof SignedOut) throw this.#error("signed_out");
      if (error instanceof OtherUser) throw this.#error("other_user");
      if (error instanceof Refused) throw this.#refused(error);
      throw this.#error("unreachable");
    }
  }

  async #ask(method, address, body, token) {
    /** @type {Record<string, string>} */
    const headers = { ...this.#headers(), Accept: "application/json", "Accept-Language": this.#language };
    headers.Authorization = `Bearer ${token}`;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    try {
      return await fetch(address, {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        credentials: "same-origin",
        cache: "no-store",
        redirect: "manual",
        referrerPolicy: "same-origin",
        signal: AbortSignal.timeout(PATIENCE),
      });
    } catch (error) {
      throw this.#error(error.name === "TimeoutError" ? "too_slow" : "unreachable");
    }
  }

  async #answer(response) {
    if (response.status === 204) return null;
    /** @type {any} */
    let answer = null;
    try {
      answer = await response.json();
    } catch {
      // Whatever stands between us and the chat answers in its own words, or the answer broke off.
    }
    if (response.ok && answer !== null) return answer;
    const { status } = response;
    if (answer?.error === undefined && isRefusal(response)) {
      const elsewhere = status < 400;
      throw this.#refused({ why: elsewhere ? "token_elsewhere" : "token_refused", status: status || "3xx" });
    }
    const { error, code, users } = answer ?? {};
    throw new ApiError(error ?? this.#texts.get("unreachable"), { code, status, users });
  }

  /** The site itself, not the chat, said no. */
  #refused({ message = "", why, status }) {
    return new ApiError(message || this.#texts.get(why, { status }), { code: "no_token" });
  }

  #error(key) {
    return new ApiError(this.#texts.get(key), { code: key });
  }
}

/** A redirect, a page in place of an answer, or a 4xx that does not come from the chat. */
function isRefusal(response) {
  const { type, ok, status } = response;
  return type === "opaqueredirect" || (ok ? !isJson(response) : status >= 400 && status < 500);
}
