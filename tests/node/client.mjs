// socket.io-client that does what it is told: a JSON object a line on stdin, and what happens, likewise, on stdout.
//
// A command is {"ask": number, "do": name, …} and is answered with {"answer": number, "value" or "error"}. Everything
// that a socket hears is told as {"socket", "event", "args"}. Bytes travel as {"$bytes": base64}.

import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const sockets = new Map();
// Socket → event → the arguments with which the server's question is answered; null: those that it asked with.
const replies = new WeakMap();

function tell(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function packed(value) {
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) {
    return { $bytes: Buffer.from(value).toString("base64") };
  }
  return mapped(value, packed);
}

function unpacked(value) {
  return value?.$bytes === undefined ? mapped(value, unpacked) : Buffer.from(value.$bytes, "base64");
}

function mapped(value, change) {
  if (Array.isArray(value)) return value.map(change);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, change(item)]));
}

function keep(name, socket) {
  const heard = (event, ...args) => tell({ socket: name, event, args: packed(args) });
  const { io: manager } = socket;
  sockets.set(name, socket);
  replies.set(socket, new Map());
  socket.on("connect", () => heard("connect", { id: socket.id, recovered: socket.recovered === true }));
  socket.on("disconnect", (reason) => heard("disconnect", reason));
  socket.on("connect_error", (error) => heard("connect_error", refusal(error)));
  socket.onAny((event, ...args) => {
    const reply = typeof args.at(-1) === "function" ? args.pop() : undefined;
    const known = replies.get(socket);
    heard(event, ...args);
    if (reply && known.has(event)) reply(...(known.get(event) ?? args));
  });
  manager.on("ping", () => heard("ping"));
  manager.on("reconnect_attempt", () => heard("reconnect_attempt"));
  manager.on("open", () => manager.engine.on("upgrade", (transport) => heard("upgrade", transport.name)));
}

// What the server said, and null for `data` where no server said anything.
function refusal({ message, data }) {
  return { message, data: data ?? null };
}

// Close it, but not in the moment of its upgrade: it would pass on what the last poll brought only after it has told the
// server where it stood before, and so be told the same again. No network ends a connection there.
function closeEngine(engine) {
  const later = () => setImmediate(closeEngine, engine);
  if (engine.upgrading) engine.once("upgrade", later);
  else if (engine.writeBuffer.length) engine.once("drain", later);
  else engine.close();
}

const commands = {
  open(_, { socket, url, options }) {
    keep(socket, io(url, { forceNew: true, ...options }));
  },

  // Another namespace on the connection of `socket`.
  share(first, { other, namespace, options }) {
    keep(other, first.io.socket(namespace, options));
  },

  state(socket) {
    const { io: manager } = socket;
    return {
      id: socket.id ?? null,
      connected: socket.connected,
      active: socket.active,
      reconnecting: Boolean(manager._reconnecting),
      transport: manager.engine.transport.name,
      engine: manager.engine.id ?? null,
      pid: socket._pid ?? null,
      offset: socket._lastOffset ?? null,
    };
  },

  emit(socket, { event, args }) {
    socket.emit(event, ...unpacked(args));
  },

  call(socket, { event, args, milliseconds }) {
    return new Promise((resolve, reject) => {
      const answered = (error, ...answer) => (error ? reject(error) : resolve(packed(answer)));
      socket.timeout(milliseconds).emit(event, ...unpacked(args), answered);
    });
  },

  // Answer the server's `event` from now on.
  reply(socket, { event, args }) {
    replies.get(socket).set(event, args === null ? null : unpacked(args));
  },

  auth(socket, { auth }) {
    socket.auth = auth;
  },

  // Connect to another server from the next time on.
  move(socket, { url }) {
    socket.io.uri = url;
  },

  connect(socket) {
    socket.connect();
  },

  disconnect(socket) {
    socket.disconnect();
  },

  // End the connection below Socket.IO, as a network does; one that is being made would be waited for in vain.
  cut(socket) {
    if (socket.connected) closeEngine(socket.io.engine);
  },

  // Send an Engine.IO message that no Socket.IO encoder has seen.
  raw(socket, { message }) {
    socket.io.engine.write(message);
  },

  forget(socket, { socket: name }) {
    sockets.delete(name);
    socket.offAny();
    socket.disconnect();
  },
};

async function obey({ ask, ...command }) {
  try {
    const value = await commands[command.do](sockets.get(command.socket), command);
    tell({ answer: ask, value: value ?? null });
  } catch (error) {
    tell({ answer: ask, error: error.message });
  }
}

for await (const line of createInterface({ input: process.stdin })) obey(JSON.parse(line));
process.exit();
