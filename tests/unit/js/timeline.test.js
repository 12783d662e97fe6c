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

test("messages that arrive out of order are held until the gap is filled", () => {
  begin(1, 2);
  for (const seq of [5, 4, 6]) timeline.live(message(seq));
  assert.deepEqual(shown(timeline), [1, 2]);
  timeline.live(message(3));
  assert.deepEqual(shown(timeline), [1, 2, 3, 4, 5, 6]);
  assert.equal(timeline.high, 6);
});

test("a repeated message, live or from the history, is shown once", () => {
  begin(1, 3);
  timeline.live(message(3));
  timeline.live(message(4));
  timeline.live(message(4));
  timeline.append(messages(3, 5), { atEnd: true });
  assert.deepEqual(shown(timeline), [1, 2, 3, 4, 5]);
});

test("a page that fills a gap releases the held messages behind it, each once", () => {
  begin(1, 2);
  timeline.live(message(6));
  timeline.live(message(4));
  timeline.append(messages(3, 5), { atEnd: true });
  assert.deepEqual(shown(timeline), [1, 2, 3, 4, 5, 6]);
});

test("older messages are put before the window, without repeats", () => {
  begin(11, 20);
  timeline.prepend(messages(8, 12), { atStart: false });
  assert.deepEqual([timeline.low, timeline.high, shown(timeline).length], [8, 20, 13]);
});

test("live messages are not added to a window that does not reach the end", () => {
  begin(1, 5, { atEnd: false });
  timeline.live(message(6));
  timeline.live(message(90));
  assert.deepEqual(shown(timeline), [1, 2, 3, 4, 5]);
  timeline.append(messages(6, 8), { atEnd: true });
  assert.deepEqual(shown(timeline), [1, 2, 3, 4, 5, 6, 7, 8]);
});

test("an own message is last until its echo gives it a seq, and stays the same object", () => {
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

test("an early Ack does not put the own message before the messages that precede it", () => {
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

test("pending own messages are not shown in a window that does not reach the end", () => {
  begin(1, 5, { atEnd: false });
  timeline.send(ownMessage("m"));
  assert.deepEqual(shown(timeline), [1, 2, 3, 4, 5]);
  timeline.drop();
  begin(40, 50);
  assert.equal(shown(timeline).at(-1), "m");
});

test("a full window drops messages at the far end", () => {
  begin(1, KEPT);
  timeline.append(messages(KEPT + 1, KEPT + 10), { atEnd: true });
  assert.deepEqual([timeline.low, timeline.high, timeline.atStart, timeline.atEnd], [11, KEPT + 10, false, true]);
  timeline.prepend(messages(1, 10), { atStart: true });
  assert.deepEqual([timeline.low, timeline.high, timeline.atStart, timeline.atEnd], [1, KEPT, true, false]);
});

test("in an ephemeral room messages keep their order of arrival, each once", () => {
  timeline.startEmpty();
  const first = message(undefined, { id: "a" });
  timeline.live(first);
  timeline.live({ ...first });
  timeline.live(message(undefined, { id: "b" }));
  assert.deepEqual(shown(timeline), ["a", "b"]);
});
