"""The stock socket.io-client in a Node process: tests/node/client.mjs executes the commands that are sent here.

Nothing runs beside the test: what Node tells is read while the test waits for something. Every wait has a deadline
and ends on the condition itself. Where Node or npm is missing, or npm cannot install, the tests are skipped, loudly.
"""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from tests.servers import die_with_parent
from tests.tokens import token

FOLDER = Path(__file__).resolve().parent / "node"
#: What is installed there, once; npm leaves its own list behind, newer than the lock file that it was made from.
MODULES = FOLDER / "node_modules"
INSTALLED, LOCK = MODULES / ".package-lock.json", FOLDER / "package-lock.json"
NO_NODE = "No Node here: the tests with socket.io-client were skipped. Install node (18 or newer) and npm."
NO_MODULES = "npm could not install socket.io-client: its tests were skipped."
#: Seconds that a wait lasts unless told otherwise; long, for a busy machine: a test that passes never needs it.
TIMEOUT = 60.0
#: Milliseconds between a client's attempts to reconnect, where a test waits for one: the default is a second.
HASTY = {"reconnectionDelay": 50, "reconnectionDelayMax": 200}
#: What a client may be told of transports; by default it begins with polling and upgrades.
TRANSPORTS = {
    "default": {},
    "polling": {"transports": ["polling"]},
    "websocket": {"transports": ["websocket"]},
}


class Failed(Exception):
    """Node could not do what it was told; the message is the one of its error."""


def browser_bundle():
    """The path of socket.io-client as a browser loads it."""
    install()
    return MODULES / "socket.io-client" / "dist" / "socket.io.min.js"


def install():
    """Have socket.io-client below `node/`, from the lock file and only once."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip(NO_NODE)
    with LOCK.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another run of the tests may want it in the same moment
        if not INSTALLED.exists() or INSTALLED.stat().st_mtime < LOCK.stat().st_mtime:
            install_now()


def install_now():
    done = subprocess.run(
        ["npm", "ci", "--no-fund", "--no-audit", "--loglevel", "error"],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode:
        pytest.skip(f"{NO_MODULES} {done.stderr[-500:]}")


@contextmanager
def running_node():
    """A Node for as many sockets as a module's tests want."""
    install()
    node = Node()
    try:
        yield node
    finally:
        node.end()


@contextmanager
def connecting(node, server):
    """connect("ann", namespace="/news", transports=…) is a socket of ann's that has connected; closed at the end."""
    opened = []

    def connect(name=None, namespace="/", wait=True, at=None, **options):
        if name is not None:
            options.setdefault("auth", {"token": token(name)})
        client = node.open((at or server).url + namespace, **options)
        opened.append(client)
        if wait:
            client.recv("connect")
        return client

    yield connect
    for client in opened:
        client.ask("forget")


class Node:
    """One process; its sockets are told of by name."""

    def __init__(self):
        self._process = subprocess.Popen(
            ["node", FOLDER / "client.mjs"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            preexec_fn=die_with_parent,
        )
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._in, False)
        self._buffer = b""
        self._numbers = count(1)
        self._answers = {}
        self._sockets = {}
        #: How often Node has told of something that it was not asked for.
        self._told = 0

    @property
    def pid(self):
        return self._process.pid

    def end(self):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(TIMEOUT)

    def open(self, url, **options):
        """`io(url, options)`: a socket on a connection of its own, which need not have connected yet."""
        client = self._keep()
        self.ask("open", socket=client.name, url=url, options=options)
        return client

    def share(self, first, namespace, **options):
        """A socket for `namespace` on the connection of `first`."""
        client = self._keep()
        first.ask("share", other=client.name, namespace=namespace, options=options)
        return client

    def _keep(self):
        client = NodeSocket(self, f"s{next(self._numbers)}")
        self._sockets[client.name] = client
        return client

    # -- the pipe

    def tell(self, do, **fields):
        """Give a command and return its number, for `answer`."""
        number = next(self._numbers)
        line = json.dumps({"ask": number, "do": do, **fields}, default=_packed) + "\n"
        self._write(line.encode())
        return number

    def answer(self, number, timeout=TIMEOUT):
        """What came of the command of that number; Failed if it failed."""
        self.wait(lambda: number in self._answers, timeout)
        line = self._answers.pop(number)
        if "error" in line:
            raise Failed(line["error"])
        return line["value"]

    def ask(self, do, timeout=TIMEOUT, **fields):
        return self.answer(self.tell(do, **fields), timeout)

    def wait(self, condition, timeout=TIMEOUT):
        """Read what Node tells until `condition` holds; TimeoutError at the deadline."""
        deadline = time.monotonic() + timeout
        while True:
            told = self._told
            if condition():
                return
            # What was told while the condition asked for something else may be what it waits for.
            if told == self._told:
                self._read(deadline)

    def _write(self, data):
        # Node stops reading while nobody reads what it tells: so both at once.
        deadline = time.monotonic() + TIMEOUT
        while data:
            if self._poll(deadline, self._out, select.POLLIN, self._in, select.POLLOUT) == self._out:
                self._take()
            else:
                data = data[os.write(self._in, data) :]

    def _read(self, deadline):
        self._poll(deadline, self._out, select.POLLIN)
        self._take()

    def _poll(self, deadline, *watched):
        """The first descriptor that is ready for what it is watched for."""
        waiting = select.poll()
        for fd, events in zip(watched[::2], watched[1::2], strict=True):
            waiting.register(fd, events)
        ready = waiting.poll(max(0.0, deadline - time.monotonic()) * 1000)
        if not ready:
            raise TimeoutError("the deadline passed")
        return ready[0][0]

    def _take(self):
        data = os.read(self._out, 65536)
        if not data:
            raise Failed(f"Node ended with {self._process.wait(TIMEOUT)}")
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._sort(json.loads(line, object_hook=_unpacked))

    def _sort(self, line):
        if "answer" in line:
            self._answers[line["answer"]] = line
        else:
            self._told += 1
            self._sockets[line["socket"]].log.append((line["event"], line["args"]))


class NodeSocket:
    """One socket. `log` holds (event, arguments) of all that it received, and of its own connects and disconnects."""

    def __init__(self, node, name):
        self.node, self.name = node, name
        self.log: list[tuple[str, list]] = []
        self._at = 0

    def __repr__(self):
        return f"<NodeSocket {self.name}: {self.log[-8:]}>"

    def ask(self, do, **fields):
        return self.node.ask(do, socket=self.name, **fields)

    def share(self, namespace, **options):
        """Another namespace on this connection."""
        return self.node.share(self, namespace, **options)

    # -- speaking

    def emit(self, event, *args):
        self.node.tell("emit", socket=self.name, event=event, args=args)

    def call(self, event, *args, timeout=TIMEOUT):
        """The arguments of the server's acknowledgement, as a list; Failed when none came."""
        return self.answer(self.begin_call(event, *args, timeout=timeout))

    def begin_call(self, event, *args, timeout=TIMEOUT):
        """Emit with a callback and return a number, for `answer`."""
        milliseconds = int(timeout * 1000)
        return self.node.tell("call", socket=self.name, event=event, args=args, milliseconds=milliseconds)

    def answer(self, number):
        return self.node.answer(number, 2 * TIMEOUT)

    def reply(self, event, *args):
        """Answer the server's question `event` with `args` from now on, or with what it asked."""
        self.ask("reply", event=event, args=args or None)

    # -- coming and going

    @property
    def state(self):
        return self.ask("state")

    @property
    def id(self):
        return self.state["id"]

    def cut(self):
        """End the connection below Socket.IO, as a network does, and wait until the client has seen it."""
        self.ask("cut")
        return self.recv("disconnect")

    def move(self, server):
        """Connect to another server from the next time on."""
        self.ask("move", url=server.url)

    def reconnect(self):
        """Connect again, by hand; return what the client then says of itself."""
        self.ask("connect")
        return self.recv("connect")

    # -- receiving

    def recv(self, event, wanted=None, timeout=TIMEOUT):
        """The argument, or the list of arguments, of the next `event`; `wanted(*args)` may pass some over."""
        _, args = self.recv_until(lambda e, *args: e == event and (wanted is None or wanted(*args)), timeout)[
            -1
        ]
        return args[0] if len(args) == 1 else args

    def recv_until(self, wanted, timeout=TIMEOUT):
        """All events since the last wait, up to and including the first that `wanted(event, *args)` accepts."""
        begin = self._at

        def come():
            while self._at < len(self.log):
                event, args = self.log[self._at]
                self._at += 1
                if wanted(event, *args):
                    return True
            return False

        try:
            self.node.wait(come, timeout)
        except TimeoutError:
            raise TimeoutError(f"not among what {self.name} received: {self.log[begin:][-8:]}") from None
        return self.log[begin : self._at]

    def wait_received(self, event, count=1, timeout=TIMEOUT):
        """Wait until `count` of `event` have been received in all; those that `recv` has not passed stay."""
        self.node.wait(lambda: len(self.received(event)) >= count, timeout)

    def received(self, event, since=0):
        """The arguments of every `event` so far, whether waited for or not."""
        return [args for name, args in self.log[since:] if name == event]


def _packed(value):
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    raise TypeError(f"{value!r} cannot be told to Node")


def _unpacked(value):
    return base64.b64decode(value["$bytes"]) if "$bytes" in value else value
