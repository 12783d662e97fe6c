import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Outbox } from "../../../chat/static/js/outbox.js";
import { Pace } from "../../../chat/static/js/pace.js";
import { ANN, BEN, conversationsOf, ownMessage } from "./people.js";
import { FakeConnection, heard, openPage, pass, texts } from "./page.js";

const days = { moment: (ms) => `in ${(ms - Date.now()) / 1000} s` };
const filled = { ...texts, get: (key, values) => [key, values?.time].filter(Boolean).join(" ") };

let connection;
let conversations;
let joined;
let outbox;

beforeEach(() => {
  openPage();
  connection = new FakeConnection();
  conversations = conversationsOf();
  joined = new Set([conversations.lobby]);
  outbox = newOutbox();
});

function newOutbox() {
  const hears = (conversation) => !conversation.isRoom || joined.has(conversation);
  return new Outbox({ connection, texts: filled, days, pace: new Pace(), hears, userId: ANN.id });
}

function say(id, conversation = conversations.lobby) {
  const message = ownMessage(id);
  conversation.timeline.send(message);
  outbox.add(message, conversation);
  return message;
}

const ids = () => connection.take().map(({ id }) => id);

test("messages are sent in the order of writing, in the wire's form", () => {
  say("a");
  say("b", conversations.with(BEN));
  assert.deepEqual(connection.take(), [
    { type: 2, room: "lobby", data: "a", id: "a" },
    { type: 3, to: "Ben", to_id: "2", data: "b", id: "b" },
  ]);
});

test("after a reconnect unconfirmed messages are sent again, with the same ids in the same order", () => {
  for (const id of ["a", "b", "c"]) say(id);
  outbox.confirm("a", { seq: 1, ts: 1 });
  connection.take();
  connection.isOpen = false;
  say("d");
  connection.isOpen = true;
  outbox.restart();
  assert.deepEqual(ids(), ["b", "c", "d"]);
});

test("a confirmed message is not sent again", () => {
  const message = say("a");
  outbox.confirm("a", { seq: 7, ts: 5 });
  assert.deepEqual([message.state, message.seq, message.ts], ["sent", 7, 5]);
  connection.take();
  outbox.restart();
  assert.deepEqual(ids(), []);
});

test("nothing is sent to a room before it is joined", () => {
  const room = conversations.named("garden");
  say("a", room);
  assert.deepEqual(ids(), []);
  joined.add(room);
  outbox.pump();
  assert.deepEqual(ids(), ["a"]);
});

test("a waiting message does not delay another room's messages", () => {
  say("a", conversations.named("garden"));
  say("b");
  assert.deepEqual(ids(), ["b"]);
});

test("a rate-limited message is sent again after retry_after", async () => {
  const message = say("a");
  connection.take();
  assert.ok(outbox.refuse({ ref: "a", code: "rate_limited", retry_after: 2, data: "wait" }));
  await pass(1_900);
  assert.deepEqual(ids(), []);
  await pass(200);
  assert.deepEqual(ids(), ["a"]);
  assert.equal(message.state, "pending");
});

test("a message is retried with growing pauses while the store fails, then marked as failed", async () => {
  const message = say("a");
  for (const pause of [2_000, 4_000, 8_000, 15_000]) {
    connection.take();
    outbox.refuse({ ref: "a", code: "store_unavailable", data: "the store is away" });
    assert.deepEqual([message.state, message.error], ["pending", "the store is away"]);
    await pass(pause - 100);
    assert.deepEqual(ids(), []);
    await pass(200);
    assert.equal(connection.sent.length, 1);
  }
  outbox.refuse({ ref: "a", code: "store_unavailable", data: "the store is away" });
  assert.equal(message.state, "failed");
});

test("a message beyond the day's quota fails at once and says when one can write again", () => {
  const message = say("a");
  connection.take();
  assert.ok(outbox.refuse({ ref: "a", code: "quota_exceeded", retry_after: 3_600, data: "tomorrow" }));
  assert.deepEqual([message.state, message.error], ["failed", "quota in 3600 s"]);
});

test("not_joined makes the page join again, three times before the message fails", () => {
  const unheard = heard(outbox, "unheard");
  const message = say("a");
  for (let time = 0; time < 3; time++) outbox.refuse({ ref: "a", code: "not_joined", data: "not in it" });
  assert.deepEqual([unheard.length, message.state], [3, "pending"]);
  outbox.refuse({ ref: "a", code: "not_joined", data: "not in it" });
  assert.deepEqual([unheard.length, message.state], [3, "failed"]);
});

test("a message waits behind an earlier one that waits for the store", async () => {
  say("a");
  outbox.refuse({ ref: "a", code: "store_unavailable", data: "the store is away" });
  connection.take();
  say("b");
  assert.deepEqual(ids(), []);
  await pass(2_100);
  assert.deepEqual(ids(), ["a", "b"]);
});

test("an unanswered message fails; the timeout starts again when it is sent again", async () => {
  const message = say("a");
  await pass(15_000);
  outbox.restart();
  await pass(6_000);
  assert.equal(message.state, "pending");
  await pass(15_000);
  assert.deepEqual([message.state, message.error], ["failed", "no_answer"]);
});

test("after a close caused by a sent message, sent messages fail and waiting ones stay", () => {
  const sent = say("a");
  connection.isOpen = false;
  const waiting = say("b");
  outbox.refuseSent();
  assert.deepEqual([sent.state, waiting.state], ["failed", "pending"]);
});

test("an Error for an unknown ref is not handled", () => {
  assert.equal(outbox.refuse({ ref: "x", code: "bad_data", data: "no" }), false);
});

test("unconfirmed messages survive a reload, confirmed ones do not", () => {
  connection.isOpen = false;
  say("a");
  say("b", conversations.with(BEN));
  outbox.confirm("a", { seq: 1, ts: 1 });
  const [left, ...rest] = newOutbox().leftBehind;
  assert.deepEqual([left.id, left.room, left.person, rest], ["b", "dm:1:2", BEN, []]);
});

test("a burst is limited, and the rest follows in order", async () => {
  for (let n = 0; n < 30; n++) say(`m${n}`);
  const first = ids();
  assert.equal(first.length, 20);
  await pass(1_500);
  assert.deepEqual(
    [...first, ...ids()],
    Array.from({ length: 30 }, (_, n) => `m${n}`),
  );
});
