import { Backoff } from "./backoff.js";
import { planFor } from "./close_codes.js";
import { MessageType } from "./protocol.js";
import { Banned, OtherUser, Refused, SignedOut } from "./token_source.js";

const CONNECT_TIMEOUT = 15_000;
/** Silence after which we ask whether anybody is there, and how long the answer may take. */
const QUIET = 45_000;
const PROBE_TIMEOUT = 8_000;
/** A connection that held this long starts its backoff anew. */
const STABLE = 10_000;
/** After a 4401 the site may just be ending the session: a token asked for at once would come from the dying one. */
const SETTLE = 800;
/** `online` and `offline` events lie at times: look for ourselves this often. */
const OFFLINE_LOOK = 20_000;
const LONGEST_TIMER = 2 ** 31 - 1;
/** States from which the reader can ask for an attempt at once. */
export const TRIABLE = new Set(["reconnecting", "offline", "no_token"]);

/** Answers of the token source after which there is nothing more to try, unless the reader asks to. */
const ENDS = new Map(
  /** @type {[Function, string][]} */ ([
    [SignedOut, "signed_out"],
    [OtherUser, "other_user"],
    [Banned, "kicked"],
    [Refused, "no_token"],
  ]),
);

/**
 * The socket, kept open: it fetches tokens, renews them in time, and comes back as the close table says.
 *
 * Events: `state` with {name, why, status, retryAt, sentence}, where name is connecting, online, reconnecting, offline,
 * no_token, signed_out, other_user or kicked; `message` with one parsed server message; `refused` when the server closed
 * because of what was sent.
 */
export class Connection extends EventTarget {
  #address;
  #tokens;
  #backoff = new Backoff();
  /** @type {WebSocket | null} */
  #socket = null;
  #state = "connecting";
  /** @type {Record<string, number>} */
  #timers = {};
  #attempt = 0;
  #triedFresh = false;
  #wasOnline = false;
  /** @type {import("./types").Wire | null} */
  #lastError = null;
  #heardAt = 0;

  constructor({ path, language, tokens }) {
    super();
    this.#address = new URL(path, location.href);
    this.#address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    this.#address.searchParams.set("roster", "diff");
    // Nothing is heard of any room before we have said what we have of it.
    this.#address.searchParams.set("lobby", "0");
    this.#address.searchParams.set("lang", language);
    this.#tokens = tokens;
  }

  get state() {
    return this.#state;
  }

  /** Connect, and look after the connection from now on. */
  start() {
    addEventListener("online", () => this.#networkBack());
    addEventListener("offline", () => this.#probe());
    addEventListener("pageshow", (event) => event.persisted && this.#networkBack());
    document.addEventListener("visibilitychange", () => document.hidden || this.#networkBack());
    this.#open();
  }

  /** Try again now, whatever the backoff says; after a sign-out or a kick only a reload helps. */
  retry() {
    if (!TRIABLE.has(this.#state)) return;
    this.#tokens.clearRefusal();
    this.#open();
  }

  /** Send one message; false when there is no connection to send it on. */
  send(message) {
    if (this.#state !== "online" || this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  async #open() {
    const attempt = this.#abandon();
    this.#show("connecting", { again: this.#wasOnline });
    let token;
    try {
      token = await this.#tokens.get();
    } catch (error) {
      if (attempt === this.#attempt) this.#withoutToken(error);
      return;
    }
    if (attempt === this.#attempt) this.#connect(attempt, token);
  }

  #connect(attempt, token) {
    const address = new URL(this.#address);
    address.searchParams.set("token", token);
    const socket = new WebSocket(address);
    this.#socket = socket;
    this.#lastError = null;
    socket.onmessage = (event) => attempt === this.#attempt && this.#receive(event.data);
    socket.onclose = (event) => attempt === this.#attempt && this.#closed(event.code);
    this.#after("connect", CONNECT_TIMEOUT, () => this.#closed(1006));
  }

  /** Let go of the present socket and timers; what still comes from them is no longer ours. */
  #abandon() {
    for (const timer of Object.values(this.#timers)) clearTimeout(timer);
    this.#timers = {};
    this.#socket?.close();
    this.#socket = null;
    return ++this.#attempt;
  }

  #receive(text) {
    this.#heardAt = Date.now();
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    if (message.type === MessageType.ERROR) this.#lastError = message;
    else if (this.#state === "connecting") this.#welcomed();
    if (message.type !== MessageType.AUTH) this.#emit("message", message);
  }

  /** The first thing the server says, its bad news aside, means that it let us in. */
  #welcomed() {
    clearTimeout(this.#timers.connect);
    this.#wasOnline = true;
    this.#after("stable", STABLE, () => {
      this.#backoff.reset();
      this.#triedFresh = false;
    });
    this.#show("online");
    this.#renewInTime();
    this.#listenForSilence();
  }

  #closed(code) {
    this.#abandon();
    const plan = planFor(code);
    const sentence = this.#lastError?.data;
    if (plan.refused) this.#emit("refused");
    if (plan.act === "stop") this.#show("kicked", { sentence });
    else if (plan.act === "fresh") this.#withFreshToken();
    else if (!navigator.onLine) this.#waitForNetwork();
    else this.#wait(plan, plan.why === "full" ? sentence : undefined);
  }

  /** The server wants another token: get one, once; with the same answer again the session is over. */
  #withFreshToken() {
    if (this.#triedFresh) return this.#show("signed_out");
    this.#triedFresh = true;
    this.#tokens.forget();
    this.#show("connecting", { again: true });
    this.#after("retry", SETTLE * (1 + Math.random()), () => this.#open());
  }

  #withoutToken(error) {
    const end = ENDS.get(error.constructor);
    if (!end) return this.#closed(1006);
    this.#abandon();
    this.#show(end, { sentence: error.message || undefined, why: error.why, status: error.status });
  }

  #wait(plan, sentence) {
    const asked = (this.#lastError?.retry_after ?? 0) * 1000;
    const delay = this.#backoff.next(plan) + (plan.act === "after" ? asked : 0);
    this.#show("reconnecting", { why: plan.why, retryAt: Date.now() + delay, sentence });
    this.#after("retry", delay, () => this.#open());
  }

  #waitForNetwork() {
    this.#show("offline");
    this.#after("retry", OFFLINE_LOOK, () => this.#open());
  }

  /** The network came back, or the reader did: do not sit out a backoff, and do not trust a socket that slept. */
  #networkBack() {
    if (this.#state === "reconnecting" || this.#state === "offline") this.retry();
    else this.#probe();
  }

  #listenForSilence() {
    this.#after("quiet", QUIET, () => {
      if (Date.now() - this.#heardAt >= QUIET) this.#probe();
      this.#listenForSilence();
    });
  }

  /** Ask for a sign of life: to give the token again costs the server nothing and is always answered. */
  #probe() {
    if (this.#renewIfDue()) return;
    const asked = Date.now();
    if (!this.send({ type: MessageType.AUTH, data: this.#tokens.current })) return;
    this.#after("probe", PROBE_TIMEOUT, () => this.#heardAt < asked && this.#closed(1006));
  }

  #renewInTime() {
    this.#after("renew", Math.max(1_000, this.#tokens.renewIn()), () => this.#renewIfDue());
  }

  /** Hand the server a fresh token when the old one nears its end; true when that was due. */
  #renewIfDue() {
    if (this.#state !== "online") return false;
    if (this.#tokens.renewIn() > 0) {
      this.#renewInTime();
      return false;
    }
    this.#renew();
    return true;
  }

  async #renew() {
    const attempt = this.#attempt;
    try {
      const token = await this.#tokens.fresh();
      if (attempt !== this.#attempt) return;
      this.send({ type: MessageType.AUTH, data: token });
      this.#renewInTime();
    } catch (error) {
      if (attempt !== this.#attempt) return;
      if (ENDS.has(error.constructor)) this.#withoutToken(error);
      else this.#after("renew", 5_000, () => this.#renewIfDue());
    }
  }

  #after(name, delay, action) {
    clearTimeout(this.#timers[name]);
    this.#timers[name] = setTimeout(action, Math.min(delay, LONGEST_TIMER));
  }

  #show(name, detail = {}) {
    this.#state = name;
    this.#emit("state", { name, ...detail });
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
