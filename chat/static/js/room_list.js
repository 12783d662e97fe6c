import { Backoff } from "./backoff.js";

const RETRY = { base: 2_000, cap: 60_000, floor: 1_000 };
/** Changes come in swarms. */
const GATHERED_FOR = 150;
/** How often to look at rooms that the socket has no place for. */
const LOOK = 60_000;
/** The list that came with the page is compared with the server's after this long, or up to twice as long. */
const COMPARED_AFTER = 5_000;

/**
 * The list of one's rooms as the API tells it, kept up to date.
 *
 * `failure` is why it could not be had, or null. Events: `change`, after a list or a failure came, with the rooms that one
 * is in no more.
 */
export class RoomList extends EventTarget {
  /** @type {string | null} */
  failure = null;
  #api;
  #conversations;
  #isFull;
  /** Whether the list came with the page, and the page has not connected since. */
  #cameWithPage;
  #madeAt = performance.now();
  #backoff = new Backoff();
  #timer = 0;
  #comparison = 0;
  /** @type {Promise<void> | null} */
  #request = null;
  #again = false;
  #outdated = false;

  constructor({ api, conversations, isFull, cameWithPage = false }) {
    super();
    this.#api = api;
    this.#conversations = conversations;
    this.#isFull = isFull;
    this.#cameWithPage = cameWithPage;
    setInterval(() => !document.hidden && this.#isFull() && this.load(), LOOK);
  }

  /** Something changed; it may not be the only thing. */
  soon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.load(), GATHERED_FOR);
  }

  /** Read the list now; settled when that has worked or failed. */
  load() {
    clearTimeout(this.#timer);
    // An answer that is already under way may be older than the change that made us ask.
    this.#again = this.#request !== null;
    this.#request ??= this.#read().finally(() => {
      this.#request = null;
      if (this.#again) this.load();
    });
    return this.#request;
  }

  /** Settles when the list has arrived or failed; requests it only if no request is in flight. */
  present() {
    return this.#request ?? this.load();
  }

  /**
   * The page is connected. The server did not report earlier changes, so the list is read again: at once, or if the list
   * has just come with the page and `canWait`, a few seconds later.
   */
  connected({ canWait }) {
    const isNew = this.#cameWithPage && performance.now() - this.#madeAt < COMPARED_AFTER;
    this.#cameWithPage = false;
    if (!isNew || !canWait) return this.load();
    this.#comparison = setTimeout(() => this.load(), COMPARED_AFTER * (1 + Math.random()));
  }

  /** The page is no longer connected; the list is read after the next connect. */
  disconnected() {
    clearTimeout(this.#comparison);
  }

  /** We have changed the list ourselves: an answer that is under way knows nothing of it, and would undo it here. */
  reload() {
    this.#outdated = this.#request !== null;
    this.load();
  }

  /** All pages of the list, and the invitations, which come with the first. */
  async #all() {
    const rooms = [];
    const invitations = [];
    let after = null;
    do {
      const page = await this.#api.get(["rooms"], { after });
      rooms.push(...page.rooms);
      invitations.push(...(page.invitations ?? []));
      after = page.next;
    } while (after);
    return { rooms, invitations };
  }

  async #read() {
    let gone = [];
    this.#outdated = false;
    try {
      const { rooms, invitations } = await this.#all();
      if (this.#outdated) return;
      this.#conversations.invitations = invitations;
      gone = this.#conversations.takeAll(rooms);
      this.failure = null;
      this.#backoff.reset();
    } catch (error) {
      this.failure = error.message;
      this.#timer = setTimeout(() => this.load(), this.#backoff.next(RETRY));
    }
    this.dispatchEvent(new CustomEvent("change", { detail: gone }));
  }
}
