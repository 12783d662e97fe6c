import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { siteHeaders } from "../../../chat/static/js/site_headers.js";
import { Banned, Refused, SignedOut, TokenSource } from "../../../chat/static/js/token_source.js";
import { openPage, page } from "./page.js";

/** What the site answers to the requests for a token, one after the other, and with which options they were made. */
let answers;
let asked;

class HTMLMetaElement {
  constructor(content) {
    this.content = content;
  }
}

beforeEach(() => {
  openPage();
  mock.restoreAll();
  [answers, asked] = [[], []];
  globalThis.HTMLMetaElement = HTMLMetaElement;
  Object.assign(page, { cookie: "", querySelector: () => null });
  mock.method(globalThis, "fetch", async (_path, options) => {
    asked.push(options);
    return answers.shift();
  });
});

const html = (status) => new Response("<h1>Log in</h1>", { status, headers: { "Content-Type": "text/html" } });
const redirect = () => ({ type: "opaqueredirect", status: 0, ok: false, json: async () => JSON.parse("") });
const token = () => `header.${btoa(JSON.stringify({ sub: "1" }))}.signature`;
const good = () => Response.json({ token: token(), expires_in: 100 });

async function failure(answer) {
  answers = [answer];
  return new TokenSource("/chat/token", "1").get().then(assert.fail, (error) => error);
}

test("what an answer without a token means", async () => {
  for (const [answer, why, status] of [
    [html(403), "token_refused", 403],
    [html(401), "token_refused", 401],
    [Response.json({ msg: "Missing CSRF token" }, { status: 401 }), "token_refused", 401],
    [html(404), "token_refused", 404],
    [html(200), "token_elsewhere", 200],
    [Response.json({ hello: "world" }), "token_elsewhere", 200],
    [redirect(), "token_elsewhere", "3xx"],
  ]) {
    const error = await failure(answer);
    assert.ok(error instanceof Refused);
    assert.deepEqual([error.why, error.status, error.message], [why, status, ""]);
  }
  const told = await failure(Response.json({ error: "Tell your admin.", code: "bad_identity" }, { status: 403 }));
  assert.ok(told instanceof Refused);
  assert.equal(told.message, "Tell your admin.");
});

test("the chat's own refusals, and outages, are none of the site's", async () => {
  const own = (code, status) => failure(Response.json({ error: "No.", code }, { status }));
  assert.ok((await own("not_logged_in", 401)) instanceof SignedOut);
  assert.ok((await own("banned", 403)) instanceof Banned);
  const brokenOff = new Response('{"tok', { headers: { "Content-Type": "application/json" } });
  for (const answer of [html(502), html(500), html(429), html(408), brokenOff]) {
    assert.equal((await failure(answer)).constructor, Error);
  }
});

test("a refusal is remembered until somebody wants to try again", async () => {
  answers = [html(403), good()];
  const tokens = new TokenSource("/chat/token", "1");
  for (let i = 0; i < 3; i++) await assert.rejects(tokens.get(), Refused);
  assert.equal(asked.length, 1);
  tokens.clearRefusal();
  assert.equal(await tokens.get(), token());
  assert.equal(asked.length, 2);
});

test("the headers of the site go with each request, as they are then", async () => {
  answers = [good(), good()];
  let secret = "one";
  const tokens = new TokenSource("/chat/token", "1", null, () => ({ "x-csrftoken": secret }));
  await tokens.fresh();
  secret = "other";
  await tokens.fresh();
  assert.deepEqual(
    asked.map(({ headers }) => headers["x-csrftoken"]),
    ["one", "other"],
  );
  assert.equal(asked[0].headers.Accept, "application/json");
});

test("the usual places are found, and the site's hook comes first", () => {
  assert.deepEqual(siteHeaders({}), {});
  page.querySelector = (selector) => (selector === 'meta[name="csrf-token"]' ? new HTMLMetaElement("from meta") : null);
  assert.deepEqual(siteHeaders({}), { "x-csrftoken": "from meta" });
  page.cookie = 'other=1; _csrf_token="a=b=="';
  assert.deepEqual(siteHeaders({}), { "x-csrftoken": "a=b==" });
  page.cookie = "csrf_access_token=jwt";
  assert.deepEqual(siteHeaders({}), { "x-csrftoken": "from meta", "x-csrf-token": "jwt" });
  assert.deepEqual(siteHeaders({ "X-CSRFToken": "hook" }), { "x-csrftoken": "hook", "x-csrf-token": "jwt" });
});
