/**
 * How fast we may speak. The server takes 20 messages a second from a user, all tabs together, after 60 at once: we
 * stay well under it, also when several tabs come back at the same time.
 */
const BURST = 20;
const PER_SECOND = 10;
/** So many permissions are left to what somebody waits for by what can wait. */
const RESERVE = 6;

/** A bucket of permissions to send one message, shared by all that send. */
export class Pace {
  #allowance = BURST;
  #filledAt = Date.now();
  #heldUntil = 0;

  /** Milliseconds until another message may go; 0 for now. */
  get wait() {
    return this.#waitFor(1);
  }

  /** The same for a message that nobody waits for. */
  get patientWait() {
    return this.#waitFor(1 + RESERVE);
  }

  /** A message went. */
  spend() {
    this.#allowance--;
  }

  /** The server asks for a pause of so many seconds. */
  hold(seconds) {
    this.#heldUntil = Date.now() + seconds * 1000;
  }

  #waitFor(permissions) {
    const now = Date.now();
    this.#allowance = Math.min(BURST, this.#allowance + ((now - this.#filledAt) / 1000) * PER_SECOND);
    this.#filledAt = now;
    return Math.max(0, this.#heldUntil - now, ((permissions - this.#allowance) / PER_SECOND) * 1000);
  }
}
