/** The site no longer knows who this is: log in again. */
export class SignedOut extends Error {}
/** The site keeps this user out of the chat; the message is the server's sentence. */
export class Banned extends Error {}
/** The session now belongs to somebody else than this page was made for. */
export class OtherUser extends Error {}

const PATIENCE = 10_000;

/** Socket tokens from the site's session, kept in memory only: never in an address, never in storage. */
export class TokenSource {
  #path;
  #userId;
  /** @type {string | null} */
  #token = null;
  #askedAt = 0;
  #lifetime = 0;
  /** @type {Promise<string | null> | null} */
  #asking = null;

  /**
   * `first` is the token that came with the page, if any.
   * @param {import("./types").Token | null} first
   */
  constructor(path, userId, first = null) {
    this.#path = path;
    this.#userId = userId;
    // The server issued it after the page was requested, however long the page took to arrive.
    if (first) this.#take(first, Date.now() - performance.now());
  }

  /** A token with time left: the one in hand, or a fresh one. Throws one of the above, or what fetch throws. */
  async get() {
    return this.#token && this.renewIn() > 0 ? this.#token : this.fresh();
  }

  /** A new token from the site; who asks while one is under way gets that one. */
  fresh() {
    this.#asking ??= this.#renew().finally(() => (this.#asking = null));
    return this.#asking;
  }

  async #renew() {
    this.forget();
    const askedAt = Date.now();
    const answer = await this.#ask();
    if (subjectOf(answer.token) !== this.#userId) throw new OtherUser();
    this.#take(answer, askedAt);
    return this.#token;
  }

  #take({ token, expires_in: seconds }, askedAt) {
    this.#token = token;
    this.#askedAt = askedAt;
    this.#lifetime = seconds * 1000;
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
      redirect: "error",
      headers: { Accept: "application/json", "Content-Type": "application/json" },
      body: "{}",
      signal: AbortSignal.timeout(PATIENCE),
    });
    if (response.ok) return response.json();
    if (response.status === 401) throw new SignedOut();
    const { code, error } = await response.json().catch(() => ({}));
    throw code === "banned" ? new Banned(error) : new Error(`no token: ${response.status}`);
  }
}

/** The `sub` of a JWT, read and not verified: only the server can do that. */
function subjectOf(token) {
  const payload = token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
  const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
  return String(JSON.parse(new TextDecoder().decode(bytes)).sub);
}
