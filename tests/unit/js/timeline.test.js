import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { KEPT, Timeline } from "../../../chat/static/js/timeline.js";
import { message, messages, ownMessage, shown } from "./people.js";

let timeline;

beforeEach(() => {
  timeline = new Timeline();
});

function begin(first, last, { atStart = first === 1, atEnd = true } = {}) {
  timeline.start(messages(first, last), { atStart, atEnd, floor: last });
}

test("what comes out of order is held back until it is in order", () => {
  begin(1, 2);
  for (const seq of [5, 4, 6]) timeline.live(message(seq));
  assert.deepEqual(shown(timeline), [1, 2]);
  timeline.live(message(3));
  assert.deepEqual(shown(timeline), [1, 2, 3, 4, 5, 6]);
  assert.equal(timeline.high, 6);
});

test("a message that comes twice, live or from the history, is shown once", () => {
  begin(1, 3);
  timeline.live(message(3));
  timeline.live(message(4));
  timeline.live(message(4));
  timeline.append(messages(3, 5), { atEnd: true });
  assert.deepEqual(shown(timeline), [1, 2, 3, 4, 5]);
});

test("a page that fills the gap lets out what was held back behind it, and nothing twice", () => {
  begin(1, 2);
  timeline.live(message(6));
  timeline.live(message(4));
  timeline.append(messages(3, 5), { atEnd: true });
  assert.deepEqual(shown(timeline), [1, 2, 3, 4, 5, 6]);
});

test("older messages go before the window, without those that it has", () => {
  begin(11, 20);
  timeline.prepend(messages(8, 12), { atStart: false });
  assert.deepEqual([timeline.low, timeline.high, shown(timeline).length], [8, 20, 13]);
});

test("what is said now does not join a window into the past", () => {
  begin(1, 5, { atEnd: false });
  timeline.live(message(6));
  timeline.live(message(90));
  assert.deepEqual(shown(timeline), [1, 2, 3, 4, 5]);
  timeline.append(messages(6, 8), { atEnd: true });
  assert.deepEqual(shown(timeline), [1, 2, 3, 4, 5, 6, 7, 8]);
});

test("an own message stands last until its echo gives it its place, as the same object", () => {
  begin(1, 2);
  const mine = ownMessage("m");
  timeline.send(mine);
  timeline.live(message(3));
  assert.deepEqual(shown(timeline), [1, 2, 3, "m"]);
  timeline.live({ ...mine, state: "sent", seq: 4, ts: 4 });
  timeline.live(message(5));
  assert.deepEqual(shown(timeline), [1, 2, 3, 4, 5]);
  assert.equal(timeline.at(4), mine);
  assert.equal(mine.state, "sent");
});

test("an Ack that comes before the messages in front of it does not put the own message before them", () => {
  begin(1, 2);
  const mine = ownMessage("m");
  timeline.send(mine);
  mine.seq = 4;
  timeline.confirm(mine);
  assert.deepEqual(shown(timeline), [1, 2, 4]);
  timeline.live(message(3));
  assert.deepEqual(shown(timeline), [1, 2, 3, 4]);
  assert.equal(timeline.isWaiting, false);
});

test("own messages that wait are not shown inside a window into the past", () => {
  begin(1, 5, { atEnd: false });
  timeline.send(ownMessage("m"));
  assert.deepEqual(shown(timeline), [1, 2, 3, 4, 5]);
  timeline.drop();
  begin(40, 50);
  assert.equal(shown(timeline).at(-1), "m");
});

test("what is too much goes from the end that the reader does not look at", () => {
  begin(1, KEPT);
  timeline.append(messages(KEPT + 1, KEPT + 10), { atEnd: true });
  assert.deepEqual([timeline.low, timeline.high, timeline.atStart, timeline.atEnd], [11, KEPT + 10, false, true]);
  timeline.prepend(messages(1, 10), { atStart: true });
  assert.deepEqual([timeline.low, timeline.high, timeline.atStart, timeline.atEnd], [1, KEPT, true, false]);
});

test("in a room that keeps nothing, messages stand as they came, each once", () => {
  timeline.startEmpty();
  const first = message(undefined, { id: "a" });
  timeline.live(first);
  timeline.live({ ...first });
  timeline.live(message(undefined, { id: "b" }));
  assert.deepEqual(shown(timeline), ["a", "b"]);
});
