import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Reading } from "../../../chat/static/js/reading.js";
import { conversationsOf, message, messages, room } from "./people.js";
import { heard, openPage, page, pass } from "./page.js";

let conversations;
let list;
let asked;
let marks;
let online;
let reading;

beforeEach(() => {
  openPage();
  [asked, marks, online] = [[], [], true];
  list = { atNewest: true, seenTo: 0, go: () => {}, toNewest: () => asked.push("scroll") };
  conversations = conversationsOf((conversation) => reading.isWatching(conversation));
  const history = {
    toNewest: (conversation) => asked.push(conversation.name),
    around: (conversation, seq) => asked.push(`${conversation.name} ${seq}`),
    catchUp: async (conversation) => asked.push(`${conversation.name} >${conversation.timeline.high}`),
  };
  reading = new Reading({
    conversations,
    history,
    list,
    marks: { add: (name, seq) => marks.push([name, seq]) },
    isShown: () => true,
    isOnline: () => online,
  });
});

function load(conversation, first, last) {
  conversation.timeline.start(messages(first, last), { atStart: first === 1, atEnd: true, floor: last });
}

/** A room with `last` messages, of which so many are read. */
function known(name, last, read) {
  return conversations.take(room(name, { last_seq: last, read_seq: read }));
}

test("a room is opened at what is new, with the newest where that is little", () => {
  const opened = heard(reading, "opened");
  const garden = known("garden", 50, 45);
  reading.open(garden);
  assert.deepEqual(opened, [{ conversation: garden, place: { line: 46 } }]);
  assert.deepEqual(asked, ["garden"]);
});

test("much that is new begins with the first of it", () => {
  reading.open(known("garden", 500, 45));
  assert.deepEqual(asked, ["garden 46"]);
});

test("a message is opened with those around it, whatever is unread", () => {
  reading.open(known("garden", 500, 45), 300);
  assert.deepEqual(asked, ["garden 300"]);
});

test("what is loaded to its end is not loaded again when one comes back to it", () => {
  const garden = known("garden", 9, 9);
  load(garden, 1, 9);
  reading.open(garden);
  reading.open(conversations.lobby);
  asked.length = 0;
  reading.open(garden);
  assert.deepEqual(asked, []);
});

test("who watches the newest message has read it, and tells so once", () => {
  const { lobby } = conversations;
  known("lobby", 9, 5);
  load(lobby, 1, 9);
  reading.look();
  reading.look();
  assert.deepEqual([marks, lobby.unread], [[["lobby", 9]], 0]);
});

test("nobody reads a page that is hidden, or lies behind another window", () => {
  load(conversations.lobby, 1, 9);
  known("lobby", 9, 5);
  for (const away of [{ hidden: true }, { hidden: false, focused: false }]) {
    Object.assign(page, away);
    reading.look();
  }
  assert.deepEqual([marks, conversations.lobby.unread], [[], 4]);
});

test("who reads further up has read as far as was in sight, if that goes on from what was read", () => {
  const { lobby } = conversations;
  known("lobby", 90, 40);
  lobby.timeline.start(messages(41, 60), { atStart: false, atEnd: false, floor: 60 });
  Object.assign(list, { atNewest: false, seenTo: 47 });
  reading.look();
  assert.deepEqual([marks, lobby.unread], [[["lobby", 47]], 43]);
});

test("a visit to the past marks nothing as read in between", () => {
  const { lobby } = conversations;
  known("lobby", 90, 40);
  lobby.timeline.start(messages(70, 90), { atStart: false, atEnd: false, floor: 90 });
  Object.assign(list, { atNewest: false, seenTo: 75 });
  reading.look();
  assert.deepEqual([marks, lobby.unread], [[], 50]);
});

test("a hole at the end is filled after a moment, if it is still there", async () => {
  const { lobby } = conversations;
  known("lobby", 9, 9);
  load(lobby, 1, 9);
  lobby.hear(message(11));
  lobby.timeline.live(message(11));
  reading.tend(lobby);
  assert.deepEqual(asked, []);
  await pass(500);
  assert.deepEqual(asked, ["lobby >9"]);
});

test("news that were only out of order are not asked for", async () => {
  const { lobby } = conversations;
  known("lobby", 9, 9);
  load(lobby, 1, 9);
  for (const seq of [11, 10]) {
    lobby.hear(message(seq));
    lobby.timeline.live(message(seq));
    reading.tend(lobby);
  }
  await pass(500);
  assert.deepEqual(asked, []);
});

test("without a connection no hole is filled; what could not be loaded is loaded with the next one", async () => {
  const { lobby } = conversations;
  known("lobby", 9, 9);
  load(lobby, 1, 5);
  online = false;
  reading.tend(lobby);
  await pass(500);
  assert.deepEqual(asked, []);
  lobby.timeline.drop();
  lobby.loading.whole = "unreachable";
  reading.resume();
  assert.deepEqual(asked, ["lobby"]);
});

test("a room that is not looked at and has a hole is read anew when it is", async () => {
  const garden = known("garden", 9, 9);
  load(garden, 1, 5);
  reading.tend(garden);
  await pass(500);
  assert.deepEqual([garden.timeline.loaded, asked], [false, []]);
});
