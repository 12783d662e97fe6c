/** The site no longer knows who this is: log in again. */
export class SignedOut extends Error {}
/** The site keeps this user out of the chat; the message is the server's sentence. */
export class Banned extends Error {}
/** The session now belongs to somebody else than this page was made for. */
export class OtherUser extends Error {}

/** The site answered, but not with a token: asking again by itself would change nothing. */
export class Refused extends Error {
  /**
   * `why` is the key of a sentence with a hole for `status`; `sentence` is the server's own, if it has one.
   * @param {string} why
   * @param {string | number} status
   * @param {string} sentence
   */
  constructor(why, status, sentence = "") {
    super(sentence);
    this.why = why;
    this.status = status;
  }
}

const PATIENCE = 10_000;
/** Refusals of the moment; they pass like an outage. */
const PASSING = new Set([408, 425, 429]);

/** Socket tokens from the site's session, kept in memory only: never in an address, never in storage. */
export class TokenSource {
  #path;
  #userId;
  #headers;
  /** @type {Refused | null} the site's refusal, until the user asks to try again */
  #refusal = null;
  /** @type {string | null} */
  #token = null;
  #askedAt = 0;
  #lifetime = 0;
  /** @type {Promise<string | null> | null} */
  #asking = null;

  /**
   * `first` is the token that came with the page, if any; `headers()` gives the headers that the site wants.
   * @param {string} path
   * @param {string} userId
   * @param {import("./types").Token | null} first
   * @param {() => Record<string, string>} headers
   */
  constructor(path, userId, first = null, headers = () => ({})) {
    this.#path = path;
    this.#userId = userId;
    this.#headers = headers;
    // The server issued it after the page was requested, however long the page took to arrive.
    if (first) this.#take(first, Date.now() - performance.now());
  }

  /** A token with time left: the one in hand, or a fresh one. Throws one of the above, or what fetch throws. */
  async get() {
    return this.#token && this.renewIn() > 0 ? this.#token : this.fresh();
  }

  /** A new token from the site; who asks while one is under way gets that one. After a refusal: the refusal. */
  async fresh() {
    if (this.#refusal) throw this.#refusal;
    this.#asking ??= this.#renew().finally(() => (this.#asking = null));
    return this.#asking;
  }

  async #renew() {
    this.forget();
    const askedAt = Date.now();
    const answer = await this.#ask().catch((error) => {
      if (error instanceof Refused) this.#refusal = error;
      throw error;
    });
    if (subjectOf(answer.token) !== this.#userId) throw new OtherUser();
    this.#take(answer, askedAt);
    return this.#token;
  }

  #take({ token, expires_in: seconds }, askedAt) {
    this.#token = token;
    this.#askedAt = askedAt;
    this.#lifetime = seconds * 1000;
  }

  /** Lets the next `fresh` ask the site again after a refusal: the user wants to try again. */
  clearRefusal() {
    this.#refusal = null;
  }

  /** The token in hand is good for nothing any more. */
  forget() {
    this.#token = null;
  }

  /** The token in hand, or null; asks nobody. */
  get current() {
    return this.#token;
  }

  /** Milliseconds until the token should be renewed: at three quarters of its life. */
  renewIn() {
    return this.#askedAt + this.#lifetime * 0.75 - Date.now();
  }

  async #ask() {
    const response = await fetch(this.#path, {
      method: "POST",
      credentials: "same-origin",
      cache: "no-store",
      redirect: "manual",
      // The page itself sends no Referer; some protections want one under HTTPS.
      referrerPolicy: "same-origin",
      headers: { ...this.#headers(), Accept: "application/json", "Content-Type": "application/json" },
      body: "{}",
      signal: AbortSignal.timeout(PATIENCE),
    });
    const answer = await response.json().catch(() => null);
    if (response.ok && typeof answer?.token === "string") return answer;
    throw failureOf(response, answer);
  }
}

/** What an answer without a token means. */
function failureOf(response, answer) {
  const { type, status, ok } = response;
  const { code, error } = answer ?? {};
  if (code === "not_logged_in") return new SignedOut();
  if (code === "banned") return new Banned(error);
  if (type === "opaqueredirect") return new Refused("token_elsewhere", "3xx");
  if (ok && (answer || !isJson(response))) return new Refused("token_elsewhere", status);
  if (code && error && status < 500) return new Refused("token_refused", status, error);
  if (status < 400 || status >= 500 || PASSING.has(status)) return new Error(`no token: ${status}`);
  return new Refused("token_refused", status);
}

/** Whether the site meant to answer in JSON, though the answer may have broken off. */
export function isJson(response) {
  return response.headers.get("content-type")?.includes("json") ?? false;
}

/** The `sub` of a JWT, read and not verified: only the server can do that. */
function subjectOf(token) {
  const payload = token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
  const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
  return String(JSON.parse(new TextDecoder().decode(bytes)).sub);
}
