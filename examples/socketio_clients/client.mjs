// A chat client for the terminal on the stock socket.io-client; docs/socketio.md explains the events.
//
//   npm install
//   node client.mjs --user ann                       # the reference site on http://127.0.0.1:8000; asks for the password
//   node client.mjs --token "$(flask --app app chat token ann)"
//   node client.mjs --token … --path /talk/socket.io https://site.example
//
// It prints messages and sends each line of its input: `/to ann psst` goes to ann alone, `/who` lists who is online.
// It ends with its input (Ctrl-D) or when the server refuses it for good. It survives a restart of the server: lines
// typed meanwhile are sent afterwards. With piped input, put the password into CHAT_PASSWORD.

import { randomUUID } from "node:crypto";
import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { io } from "socket.io-client";

/** Errors that a fresh token may solve, and errors that pass with time. */
const TOKEN = new Set(["token_expired", "token_invalid"]);
const LATER = new Set(["server_full", "too_many_for_user", "too_many_for_address", "flooding"]);
const RETRY_AFTER = 10_000;
/** The longest delay of a timer. */
const MAX_DELAY = 2 ** 31 - 1;

/** The site knows no such user, or not with this password. */
class LogInRefused extends Error {}

/** Valid tokens: the given one, or the site's, renewed after three quarters of its lifetime. */
class Tokens {
  #site;
  #given;
  #credentials;
  #token = null;
  #renewAt = 0;

  constructor(site, given, credentials) {
    this.#site = site;
    this.#given = given;
    this.#credentials = credentials;
  }

  async get() {
    if (this.#given) return this.#given;
    if (this.renewIn() <= 0) await this.#logIn();
    return this.#token;
  }

  /** Milliseconds until a new token is needed. */
  renewIn() {
    return this.#given ? Infinity : this.#renewAt - Date.now();
  }

  /** Drops a token that the server refused; returns whether another one can be requested. */
  forget() {
    this.#renewAt = 0;
    return !this.#given;
  }

  async #logIn() {
    const answer = await fetch(new URL("/api/login", this.#site), {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(this.#credentials),
    });
    const body = await answer.json();
    if (!answer.ok) throw new LogInRefused(body.error);
    this.#token = body.token;
    this.#renewAt = Date.now() + body.expires_in * 750;
  }
}

const { url, path, tokens } = await readArguments();

const socket = io(url, {
  path,
  // Called before each connection, the first and all later ones.
  auth: (callback) => tokens.get().then((token) => callback({ token, roster: "diff" }), authFailed),
  // Events wait for a connection and are sent again until the server has answered them, one after another.
  retries: Infinity,
  ackTimeout: 10_000,
});

// ---- messages ---------------------------------------------------------------------------------------------------

socket.on("group_chat", ({ user, data }) => console.log(user ? `[${user.username}] ${data}` : `* ${data}`));
socket.on("single_chat", ({ user, data }) => console.log(`[${user?.username ?? "*"} (direct)] ${data}`));
socket.on("group_list", ({ data }) => showPeople(data));
socket.on("roster_diff", ({ left, joined }) => {
  for (const name of left) console.log(`- ${name}`);
  for (const { username } of joined) console.log(`+ ${username}`);
});

function showPeople(people) {
  console.log(`Online: ${people.map(({ username }) => username).join(", ")}`);
}

async function send(line) {
  const [, to, text] = line.match(/^\/to (\S+) (.+)$/) ?? [];
  if (line === "/who") {
    const list = await deliver("group_list", {});
    if (list.data) showPeople(list.data);
  } else if (to) {
    await deliver("single_chat", { to, data: text, id: randomUUID() });
  } else if (line.trim()) {
    await deliver("group_chat", { data: line, id: randomUUID() });
  }
}

/** Sends a message until the server answers, and returns the answer. The id lets the server drop duplicates. */
async function deliver(event, message) {
  for (;;) {
    const answer = await socket.emitWithAck(event, message);
    if (answer.error === "rate_limited") {
      await sleep(answer.retry_after * 1000);
      continue;
    }
    if (answer.error) console.error(answer.data);
    return answer;
  }
}

// ---- the connection ---------------------------------------------------------------------------------------------

/** The last Error received: it says why the server closes the connection. */
let last = {};
/** Whether a fresh token was tried since the last connection. */
let tried = false;

socket.on("connect", () => {
  last = {};
  tried = false;
  console.error(socket.recovered ? "Reconnected; missed messages follow." : "Connected.");
});
socket.on("chat_error", (error) => {
  last = error;
  console.error(error.data);
});
socket.on("disconnect", (reason) => {
  if (socket.active) console.error(`Connection lost (${reason}).`);
  else if (reason === "io server disconnect") refused(last.code, last.data);
});
socket.on("connect_error", (error) => {
  if (socket.active) console.error(`Can't connect (${error.message}).`); // socket.io-client retries by itself
  else refused(error.data?.code, error.message);
});

function refused(code, sentence) {
  if (TOKEN.has(code) && !tried && tokens.forget()) {
    tried = true;
    socket.connect();
  } else if (LATER.has(code)) {
    console.error(`${sentence} …`);
    setTimeout(() => socket.connect(), RETRY_AFTER * (1 + Math.random()));
  } else {
    console.error(`Disconnected: ${sentence ?? "no reason given"} (${code ?? "no code"})`);
    leave(1);
  }
}

function authFailed(error) {
  console.error(error.message);
  if (error instanceof LogInRefused) leave(1);
  else socket.io.engine.close(); // the site was unreachable: socket.io-client retries by itself
}

/** Sends a fresh token in time, so that the connection outlives its first token. */
async function renew() {
  for (;;) {
    await sleep(Math.min(MAX_DELAY, Math.max(1000, tokens.renewIn())));
    if (!socket.connected || tokens.renewIn() > 0) continue;
    try {
      await deliver("auth", { data: await tokens.get() });
    } catch (error) {
      console.error(error.message);
    }
  }
}

function leave(code = 0) {
  socket.disconnect();
  setTimeout(() => process.exit(code), 100);
}

// ---- the terminal -----------------------------------------------------------------------------------------------

async function readArguments() {
  const {
    values: { user, token, path },
    positionals: [url = "http://127.0.0.1:8000"],
  } = parseArgs({
    allowPositionals: true,
    options: { user: { type: "string" }, token: { type: "string" }, path: { type: "string", default: "/socket.io" } },
  });
  if (!user === !token) {
    console.error("usage: node client.mjs [URL] (--user NAME | --token JWT) [--path /socket.io]");
    process.exit(2);
  }
  const credentials = user && { username: user, password: process.env.CHAT_PASSWORD ?? (await askPassword()) };
  return { url, path, tokens: new Tokens(url, token, credentials) };
}

async function askPassword() {
  const silent = new Writable({ write: (chunk, encoding, done) => done() });
  const terminal = createInterface({ input: process.stdin, output: silent, terminal: true });
  process.stderr.write("Password: ");
  const password = await terminal.question("");
  terminal.close();
  process.stderr.write("\n");
  return password;
}

if (tokens.renewIn() < Infinity) renew();
for await (const line of createInterface({ input: process.stdin })) await send(line);
leave();
