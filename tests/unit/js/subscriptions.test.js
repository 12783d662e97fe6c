import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Pace } from "../../../chat/static/js/pace.js";
import { Subscriptions } from "../../../chat/static/js/subscriptions.js";
import { BEN, conversationsOf, messages, room } from "./people.js";
import { FakeConnection, heard, openPage, pass } from "./page.js";

let connection;
let conversations;
let subscriptions;

beforeEach(() => {
  openPage();
  connection = new FakeConnection();
  conversations = conversationsOf();
  subscriptions = newSubscriptions(10);
});

function newSubscriptions(most) {
  return new Subscriptions({ connection, conversations, pace: new Pace(), most });
}

function synced(name) {
  const join = [...connection.sent].reverse().find((sent) => sent.type === 6 && sent.room === name);
  subscriptions.synced({ room: name, seq: 0, epoch: "e1", recovered: true, ref: join.id });
}

const rooms = () => connection.take().map(({ room: name }) => name);

test("after a connect the current room is joined first, then the lobby, then the most recently active", () => {
  conversations.takeAll([room("lobby"), room("old", { last_at: 1 }), room("new", { last_at: 9 }), room("here")]);
  conversations.current = conversations.get("here");
  subscriptions.restart();
  assert.deepEqual(rooms(), ["here", "lobby", "new", "old"]);
});

test("a Join carries the last known seq and the epoch", () => {
  conversations.takeAll([room("lobby", { last_seq: 7 })]);
  const { lobby } = conversations;
  lobby.timeline.start(messages(3, 7), { atStart: false, atEnd: true, floor: 7 });
  subscriptions.restart();
  const [{ since, epoch }] = connection.take();
  assert.deepEqual([since, epoch], [7, "e1"]);
});

test("a Join carries no seq if the window does not reach the end", () => {
  conversations.takeAll([room("lobby", { last_seq: 90 })]);
  conversations.lobby.timeline.start(messages(3, 7), { atStart: false, atEnd: false, floor: 7 });
  subscriptions.restart();
  assert.equal("since" in connection.take()[0], false);
});

test("a room is subscribed after Synced, and again only after the next connection's Synced", () => {
  const { lobby } = conversations;
  subscriptions.restart();
  assert.equal(subscriptions.hears(lobby), false);
  synced("lobby");
  assert.equal(subscriptions.hears(lobby), true);
  subscriptions.restart();
  assert.equal(subscriptions.hears(lobby), false);
});

test("a Synced of an earlier connection's Join is ignored", () => {
  subscriptions.restart();
  const [{ id }] = connection.take();
  subscriptions.restart();
  subscriptions.synced({ room: "lobby", seq: 0, epoch: "e1", recovered: true, ref: id });
  assert.equal(subscriptions.hears(conversations.lobby), false);
});

test("direct conversations need no Join", () => {
  const ben = conversations.with(BEN);
  subscriptions.join(ben);
  assert.deepEqual([subscriptions.hears(ben), rooms()], [true, []]);
});

test("a full socket leaves the least recently used room, never the lobby", () => {
  subscriptions = newSubscriptions(3);
  conversations.takeAll([room("lobby"), room("a"), room("b"), room("c")]);
  for (const name of ["lobby", "a", "b"]) subscriptions.join(conversations.get(name));
  connection.take();
  subscriptions.join(conversations.get("c"));
  assert.deepEqual(
    connection.take().map(({ type, room: name }) => [type, name]),
    [
      [7, "a"],
      [6, "c"],
    ],
  );
  assert.equal(subscriptions.isFull, true);
});

test("a refused room is reported, and joined again only when the reader opens it", () => {
  const refused = heard(subscriptions, "refused");
  conversations.takeAll([room("lobby"), room("a")]);
  subscriptions.restart();
  const { id } = connection.take().find((sent) => sent.room === "a");
  assert.ok(subscriptions.refuse({ ref: id, code: "unknown_room", data: "no such room" }));
  assert.deepEqual(refused, [{ conversation: conversations.get("a"), sentence: "no such room" }]);
  subscriptions.joinAll();
  assert.deepEqual(rooms(), []);
  subscriptions.join(conversations.get("a"));
  assert.deepEqual(rooms(), ["a"]);
});

test("a Join is sent again after rate_limited, store_unavailable or no answer", async () => {
  for (const [answer, wait] of [
    [{ code: "rate_limited", retry_after: 2 }, 2_100],
    [{ code: "store_unavailable" }, 3_100],
    [null, 15_100],
  ]) {
    connection.take();
    subscriptions.restart();
    const [{ id }] = connection.take();
    if (answer) subscriptions.refuse({ ref: id, data: "", ...answer });
    assert.deepEqual(rooms(), []);
    await pass(wait);
    assert.deepEqual(rooms(), ["lobby"]);
    await pass(60_000);
  }
});

test("an Error for an unknown ref is not handled", () => {
  subscriptions.restart();
  assert.equal(subscriptions.refuse({ ref: "x", code: "bad_room", data: "" }), false);
});
