/**
 * What to do after a close: one row a code, as the protocol's table says.
 *
 * `act` is retry (after a backoff of `base`, `cap`, `floor` milliseconds), fresh (once, with a fresh token), after
 * (when the server's retry_after has passed) or stop. `why` is the key of the sentence that explains it.
 * @type {import("./types").Plan}
 */
const LOST = { act: "retry", why: "lost", base: 600, cap: 30_000 };
/** @type {import("./types").Plan} */
const REFUSED = { ...LOST, refused: true };

/** @type {Map<number, import("./types").Plan>} */
const PLANS = new Map([
  [1001, { act: "retry", why: "restarting", base: 1_500, cap: 30_000 }],
  [1012, { act: "retry", why: "restarting", base: 1_500, cap: 30_000 }],
  [1003, REFUSED],
  [1007, REFUSED],
  [1009, REFUSED],
  [1013, { act: "retry", why: "full", base: 15_000, cap: 300_000, floor: 5_000 }],
  [4401, { act: "fresh", why: "lost" }],
  [4403, { act: "stop", why: "kicked" }],
  [4408, { act: "retry", why: "slow", base: 2_000, cap: 30_000 }],
  [4429, { act: "after", why: "flooding", base: 2_000, cap: 60_000 }],
]);

/** The plan for a close code; one that is not in the table is a lost connection. */
export function planFor(code) {
  return PLANS.get(code) ?? LOST;
}
