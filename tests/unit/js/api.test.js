import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { Api, ApiError } from "../../../chat/static/js/api.js";
import { openPage, pass, settle, texts } from "./page.js";

/** What the server answers, one after the other, and how often it was asked. */
let answers;
let asked;
let api;

beforeEach(() => {
  openPage();
  mock.restoreAll();
  [answers, asked] = [[], 0];
  globalThis.location = { href: "https://chat.example/chat" };
  mock.method(globalThis, "fetch", async () => {
    asked++;
    return answers.shift();
  });
  const tokens = { get: async () => "token", fresh: async () => "fresh" };
  api = new Api({ path: "/chat/api", tokens, texts, language: "en", first: { take: () => null } });
});

const busy = (seconds) =>
  Response.json(
    { error: "Too many.", code: "search_busy" },
    { status: 429, headers: seconds && { "Retry-After": seconds } },
  );

test("a request that came too soon is sent again when the server says", async () => {
  answers = [busy("2"), Response.json({ messages: [] })];
  const answer = api.get(["search"], { q: "tea" });
  await settle();
  await pass(1_900);
  assert.equal(asked, 1);
  await pass(200);
  assert.deepEqual([await answer, asked], [{ messages: [] }, 2]);
});

test("after three waits the reader is told", async () => {
  answers = [busy("1"), busy("1"), busy("1"), busy("1")];
  const failed = api.get(["search"], { q: "tea" }).then(assert.fail, (error) => error);
  for (let wait = 0; wait < 3; wait++) {
    await settle();
    await pass(1_000);
  }
  const error = await failed;
  assert.ok(error instanceof ApiError);
  assert.deepEqual([error.message, error.status, asked], ["Too many.", 429, 4]);
});

test("a long wait, or one without an end, is the reader's to decide", async () => {
  for (const answer of [busy("60"), busy(undefined)]) {
    [answers, asked] = [[answer], 0];
    const error = await api.post(["rooms"]).then(assert.fail, (failure) => failure);
    assert.deepEqual([error.code, asked], ["search_busy", 1]);
  }
});
