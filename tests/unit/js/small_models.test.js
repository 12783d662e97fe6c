import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Backoff } from "../../../chat/static/js/backoff.js";
import { planFor } from "../../../chat/static/js/close_codes.js";
import { Pace } from "../../../chat/static/js/pace.js";
import { countCharacters, directRoom, newId, otherEnd, sendable } from "../../../chat/static/js/protocol.js";
import { ReadMarks } from "../../../chat/static/js/read_marks.js";
import { FakeConnection, openPage, page, pass } from "./page.js";

beforeEach(openPage);

test("a backoff doubles up to its cap, uses full jitter, and restarts after a reset", () => {
  const plan = { base: 1_000, cap: 5_000, floor: 100 };
  const longest = new Backoff(() => 1);
  assert.deepEqual(
    [1, 2, 3, 4, 5].map(() => longest.next(plan)),
    [1_100, 2_100, 4_100, 5_100, 5_100],
  );
  longest.reset();
  assert.equal(longest.next(plan), 1_100);
  assert.equal(new Backoff(() => 0).next(plan), 100);
});

test("every close code has a plan; an unknown one means a lost connection", () => {
  assert.equal(planFor(1006).why, "lost");
  assert.equal(planFor(4403).act, "stop");
  assert.equal(planFor(4401).act, "fresh");
  assert.ok(planFor(1009).refused);
});

test("both users derive the same room name from any ids", () => {
  for (const [one, other] of [
    ["1", "2"],
    ["a:b", "c/d%"],
    ["\u{1F600}", "\uFF5E"],
  ]) {
    const name = directRoom(one, other);
    assert.equal(name, directRoom(other, one));
    assert.deepEqual([otherEnd(name, one), otherEnd(name, other)], [other, one]);
    assert.equal(otherEnd(name, "somebody else"), null);
  }
  assert.equal(directRoom("a:b", "c/d%"), "dm:a%3Ab:c%2Fd%25");
  assert.equal(directRoom("\u{1F600}", "\uFF5E"), "dm:\uFF5E:\u{1F600}", "in the order of code points");
});

test("characters are counted as the server does", () => {
  assert.equal(countCharacters("a\u{1F600}b"), 3);
  assert.equal(countCharacters("\ud83d alone"), 7);
});

test("control characters, lone surrogates and blank edges are removed", () => {
  assert.equal(sendable("\n \n  a\r\nb\u0000\u009f\t \n"), "  a\nb");
  assert.equal(sendable("\ud83dx"), "\ufffdx");
  assert.equal(sendable(" \n\t"), "");
});

test("ids are unique, of 24 hex digits, and grow with time", async () => {
  const ids = Array.from({ length: 100 }, newId);
  assert.equal(new Set(ids).size, 100);
  assert.ok(ids.every((id) => /^[0-9a-f]{24}$/.test(id)));
  await pass(1);
  assert.ok(ids.every((id) => id < newId()));
});

test("the pace permits a burst, then ten messages per second, and nothing during a requested pause", async () => {
  const pace = new Pace();
  let went = 0;
  for (; pace.wait === 0; went++) pace.spend();
  assert.equal(went, 20);
  await pass(1_000);
  assert.equal(pace.wait, 0);
  pace.hold(2);
  assert.equal(pace.wait, 2_000);
});

test("background messages leave a reserve of the pace", () => {
  const pace = new Pace();
  for (let n = 0; n < 15; n++) pace.spend();
  assert.equal(pace.wait, 0);
  assert.ok(pace.patientWait > 0);
});

test("read marks are gathered: the newest of each room is sent once", async () => {
  const connection = new FakeConnection();
  const marks = new ReadMarks(connection, new Pace());
  for (const seq of [1, 2, 3]) marks.add("a", seq);
  marks.add("b", 9);
  assert.deepEqual(connection.sent, []);
  await pass(700);
  await pass(700);
  assert.deepEqual(connection.take(), [
    { type: 10, room: "a", seq: 3 },
    { type: 10, room: "b", seq: 9 },
  ]);
  marks.add("c", 1);
  await pass(700);
  assert.deepEqual(connection.take(), [{ type: 10, room: "c", seq: 1 }]);
});

test("read marks are sent after a reconnect", async () => {
  const connection = new FakeConnection();
  const marks = new ReadMarks(connection, new Pace());
  connection.isOpen = false;
  marks.add("a", 3);
  await pass(700);
  connection.isOpen = true;
  marks.resume();
  await pass(700);
  assert.deepEqual(connection.take(), [{ type: 10, room: "a", seq: 3 }]);
});

test("read marks are sent at once when the page is hidden", () => {
  const connection = new FakeConnection();
  new ReadMarks(connection, new Pace()).add("a", 3);
  page.hidden = true;
  page.dispatchEvent(new Event("visibilitychange"));
  assert.equal(connection.sent.length, 1);
});
