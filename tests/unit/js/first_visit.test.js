import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { Api } from "../../../chat/static/js/api.js";
import { FirstAnswers } from "../../../chat/static/js/first_answers.js";
import { RoomList } from "../../../chat/static/js/room_list.js";
import { TokenSource } from "../../../chat/static/js/token_source.js";
import { ANN, conversationsOf, room } from "./people.js";
import { openPage, pass, settle, texts } from "./page.js";

let asked;

beforeEach(() => {
  openPage();
  mock.restoreAll();
  asked = [];
  globalThis.location = { href: "http://site.example/chat" };
  mock.method(globalThis, "fetch", async (address, { method }) => {
    asked.push(`${method} ${new URL(address, location.href).pathname}`);
    return Response.json({ from: "server", token: tokenOf(ANN.id), expires_in: 100, rooms: [] });
  });
});

function tokenOf(id) {
  return `header.${btoa(JSON.stringify({ sub: id }))}.signature`;
}

function makeApi(answers, token = { token: "first", expires_in: 100 }) {
  const tokens = new TokenSource("/chat/token", ANN.id, token);
  const first = new FirstAnswers(answers);
  return new Api({ path: "/chat/api", tokens, texts, language: "en", first });
}

test("an answer from the page is used once; the next call asks the server", async () => {
  const api = makeApi({ "rooms/lobby/messages": { from: "page" } });
  const get = () => api.get(["rooms", "lobby", "messages"], { limit: 50 });
  assert.deepEqual([await get(), asked], [{ from: "page" }, []]);
  assert.equal((await get()).from, "server");
  assert.deepEqual(asked, ["GET /chat/api/rooms/lobby/messages"]);
});

test("an answer is used only for exactly its request", () => {
  const answers = new FirstAnswers({ "rooms/a%2Fb/messages?around=7": 1, "rooms/lobby/messages": 2, "rooms/x": 3 });
  assert.equal(answers.take(["rooms", "lobby", "messages"], { before: 9, limit: 50 }), undefined);
  assert.equal(answers.take(["rooms", "lobby/messages"]), undefined);
  assert.equal(answers.take(["rooms", "a/b", "messages"], { around: 7, limit: 50 }), 1);
  assert.equal(answers.take(["rooms", "x"], { after: null }), 3);
});

test("answers from the page expire", () => {
  const now = mock.method(performance, "now", () => 1_000);
  const answers = new FirstAnswers({ rooms: {} });
  now.mock.mockImplementation(() => 12_000);
  assert.deepEqual([answers.has(["rooms"]), answers.take(["rooms"])], [false, undefined]);
});

test("the token from the page is used until it is due for renewal", async () => {
  const tokens = new TokenSource("/chat/token", ANN.id, { token: "first", expires_in: 100 });
  assert.equal(await tokens.get(), "first");
  await pass(80_000);
  assert.equal(await tokens.get(), tokenOf(ANN.id));
  assert.deepEqual(asked, ["POST /chat/token"]);
});

test("without a token in the page one request serves all callers", async () => {
  const tokens = new TokenSource("/chat/token", ANN.id);
  assert.deepEqual(await Promise.all([tokens.get(), tokens.get()]), [tokenOf(ANN.id), tokenOf(ANN.id)]);
  assert.deepEqual(asked, ["POST /chat/token"]);
});

function makeList(cameWithPage) {
  const answers = cameWithPage ? { rooms: { rooms: [room("lobby"), room("garden")] } } : {};
  const conversations = conversationsOf();
  return {
    list: new RoomList({ api: makeApi(answers), conversations, isFull: () => false, cameWithPage }),
    conversations,
  };
}

test("the list from the page is used at once, and compared with the server's a few seconds later", async () => {
  const { list, conversations } = makeList(true);
  await list.load();
  assert.deepEqual(
    conversations.rooms.map(({ name }) => name),
    ["lobby", "garden"],
  );
  list.connected({ canWait: true });
  await pass(4_000);
  assert.deepEqual(asked, []);
  await pass(6_100);
  assert.deepEqual(asked, ["GET /chat/api/rooms"]);
  assert.deepEqual(
    conversations.rooms.map(({ name }) => name),
    ["lobby"],
  );
});

test("the list is not compared after the connection was lost", async () => {
  const { list } = makeList(true);
  await list.load();
  list.connected({ canWait: true });
  list.disconnected();
  await pass(11_000);
  assert.deepEqual(asked, []);
  list.connected({ canWait: true });
  await settle();
  assert.equal(asked.length, 1);
});

test("the list is read at once if it cannot wait, and after every later connect", async () => {
  const { list } = makeList(true);
  await list.load();
  list.connected({ canWait: false });
  await settle();
  list.connected({ canWait: true });
  await settle();
  assert.equal(asked.length, 2);
});

test("present() waits for the request in flight", async () => {
  const { list } = makeList(false);
  await Promise.all([list.load(), list.present(), list.present()]);
  assert.equal(asked.length, 1);
});

test("a list of several pages is taken whole", async () => {
  const pages = { "": { rooms: [room("lobby")], next: "1.2.3" }, "1.2.3": { rooms: [room("garden")], next: null } };
  const conversations = conversationsOf();
  const api = { get: async (_, { after }) => pages[after ?? ""] };
  await new RoomList({ api, conversations, isFull: () => false }).load();
  assert.deepEqual(
    conversations.rooms.map(({ name }) => name),
    ["lobby", "garden"],
  );
});
