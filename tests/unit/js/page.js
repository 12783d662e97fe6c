/** The parts of a browser that the models need: a document, storage, and timers that the test controls. */
import { mock } from "node:test";

/** The document; tests set `hidden` and `focused`. */
export const page = Object.assign(new EventTarget(), { hidden: false, focused: true, hasFocus: () => page.focused });

/** Storage in memory. */
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

/** Reset the page, and stop the clock and all timers. */
export function openPage() {
  Object.assign(page, { hidden: false, focused: true });
  window.sessionStorage.clear();
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: 1_000_000 });
}

/** Advance the clock, and run what is due. */
export async function pass(milliseconds) {
  mock.timers.tick(milliseconds);
  await settle();
}

/** Wait until all pending promises have settled. */
export function settle() {
  return new Promise(setImmediate);
}

/** Collect the details of all events of `type` from now on. */
export function heard(source, type) {
  const details = [];
  source.addEventListener(type, ({ detail }) => details.push(detail));
  return details;
}

/** A connection that records what is sent; nothing can be sent while it is not open. */
export class FakeConnection extends EventTarget {
  isOpen = true;
  sent = [];

  send(message) {
    if (this.isOpen) this.sent.push(message);
    return this.isOpen;
  }

  /** What was sent since the last call. */
  take() {
    return this.sent.splice(0);
  }
}

/** Sentences are their keys. */
export const texts = { locale: "en", get: (key) => key };
