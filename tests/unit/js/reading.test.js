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

test("a room with few unread messages opens with the newest, at the unread line", () => {
  const opened = heard(reading, "opened");
  const garden = known("garden", 50, 45);
  reading.open(garden);
  assert.deepEqual(opened, [{ conversation: garden, place: { line: 46 } }]);
  assert.deepEqual(asked, ["garden"]);
});

test("a room with many unread messages opens at the first of them", () => {
  reading.open(known("garden", 500, 45));
  assert.deepEqual(asked, ["garden 46"]);
});

test("a link to a message opens the messages around it", () => {
  reading.open(known("garden", 500, 45), 300);
  assert.deepEqual(asked, ["garden 300"]);
});

test("a room that is loaded to its end is not loaded again", () => {
  const garden = known("garden", 9, 9);
  load(garden, 1, 9);
  reading.open(garden);
  reading.open(conversations.lobby);
  asked.length = 0;
  reading.open(garden);
  assert.deepEqual(asked, []);
});

test("a visible newest message is marked as read, once", () => {
  const { lobby } = conversations;
  known("lobby", 9, 5);
  load(lobby, 1, 9);
  reading.look();
  reading.look();
  assert.deepEqual([marks, lobby.unread], [[["lobby", 9]], 0]);
});

test("nothing is marked as read while the page is hidden or unfocused", () => {
  load(conversations.lobby, 1, 9);
  known("lobby", 9, 5);
  for (const away of [{ hidden: true }, { hidden: false, focused: false }]) {
    Object.assign(page, away);
    reading.look();
  }
  assert.deepEqual([marks, conversations.lobby.unread], [[], 4]);
});

test("reading further up marks as read what was visible, if it continues from the read position", () => {
  const { lobby } = conversations;
  known("lobby", 90, 40);
  lobby.timeline.start(messages(41, 60), { atStart: false, atEnd: false, floor: 60 });
  Object.assign(list, { atNewest: false, seenTo: 47 });
  reading.look();
  assert.deepEqual([marks, lobby.unread], [[["lobby", 47]], 43]);
});

test("looking at messages beyond the first unread one marks nothing as read", () => {
  const { lobby } = conversations;
  known("lobby", 90, 40);
  lobby.timeline.start(messages(70, 90), { atStart: false, atEnd: false, floor: 90 });
  Object.assign(list, { atNewest: false, seenTo: 75 });
  reading.look();
  assert.deepEqual([marks, lobby.unread], [[], 50]);
});

test("a gap at the end is requested after a moment", async () => {
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

test("messages that were only out of order are not requested", async () => {
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

test("a gap is not requested while offline; a failed window is loaded again after a reconnect", async () => {
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

test("a gap in a room in the background drops its window", async () => {
  const garden = known("garden", 9, 9);
  load(garden, 1, 5);
  reading.tend(garden);
  await pass(500);
  assert.deepEqual([garden.timeline.loaded, asked], [false, []]);
});
