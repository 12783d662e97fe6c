/** What the models find of a browser's page in these tests: a document that listens, storage, and a clock of the test's. */
import { mock } from "node:test";

/** The page's document; `hidden` and `focused` are for the test to set. */
export const page = Object.assign(new EventTarget(), { hidden: false, focused: true, hasFocus: () => page.focused });

/** Storage that lives as long as the test. */
class Storage {
  #values = new Map();
  getItem = (key) => this.#values.get(key) ?? null;
  setItem = (key, value) => this.#values.set(key, value);
  removeItem = (key) => this.#values.delete(key);
  clear = () => this.#values.clear();
}

const events = new EventTarget();
Object.assign(globalThis, {
  document: page,
  window: { sessionStorage: new Storage(), localStorage: new Storage() },
  addEventListener: events.addEventListener.bind(events),
  dispatchEvent: events.dispatchEvent.bind(events),
});

/** Begin a test: the page as it is at first, and timers and the clock held still. */
export function openPage() {
  Object.assign(page, { hidden: false, focused: true });
  window.sessionStorage.clear();
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: 1_000_000 });
}

/** Let so many milliseconds pass, and all that was to happen in them. */
export async function pass(milliseconds) {
  mock.timers.tick(milliseconds);
  await settle();
}

/** Wait until nothing more comes of what was done. */
export function settle() {
  return new Promise(setImmediate);
}

/** The details of all events of `type` from now on. */
export function heard(source, type) {
  const details = [];
  source.addEventListener(type, ({ detail }) => details.push(detail));
  return details;
}

/** A connection that keeps what was sent on it; without one nothing is sent. */
export class FakeConnection extends EventTarget {
  isOpen = true;
  sent = [];

  send(message) {
    if (this.isOpen) this.sent.push(message);
    return this.isOpen;
  }

  /** What was sent since the last time this was asked. */
  take() {
    return this.sent.splice(0);
  }
}

/** Sentences are their keys. */
export const texts = { locale: "en", get: (key) => key };
