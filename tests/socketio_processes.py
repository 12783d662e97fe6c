"""Processes of a chat on one database that are started, stepped and killed, and Socket.IO clients on socket pairs."""

import itertools
import json
import socket
from contextlib import contextmanager
from dataclasses import replace

import pytest

from chat.cluster.broker.memory import MemoryBroker
from chat.identity.guard import Guard
from chat.loop import reactor
from chat.rooms import arrivals, catch_up, drain, group_commit
from chat.rooms.client import Taken
from chat.rooms.handlers import HANDLERS
from chat.runtime import Runtime, Site, StoreAccess, WorkerLinks
from chat.socketio.registry import Registry
from chat.socketio.resume import IoStore
from chat.socketio.sessions import OpeningRequest
from chat.store.engine import make_engine
from chat.store.io_missed import IoMissed
from chat.store.io_sessions import IoSessions
from chat.store.sql import SqlHistory
from chat.wire.envelope import Identity
from tests.client_owner import Peer
from tests.in_process import NEVER, Hooks, NoControl, quick_settings
from tests.server_frames import frames
from tests.stepping import FakeClock, Scheduler, SteppedDriver, Yielding
from tests.wsclient import text_frame

TIMED = (catch_up, drain, reactor, group_commit)


class Driver(SteppedDriver):
    """A driver by turns that has locks too."""

    def allocate_blocking_lock(self):
        return Lock(self._scheduler)


class Lock:
    """Held by one task at a time."""

    def __init__(self, scheduler):
        self._scheduler, self._held = scheduler, False

    def __enter__(self):
        self._scheduler.pause(lambda: not self._held)
        self._held = True

    def __exit__(self, *_):
        self._held = False


class Process:
    """One process. Each is stepped on its own, so that it can be killed between any two steps."""

    def __init__(self, url, settings, clock, bus=None):
        self._bus = bus
        #: The site's own handlers.
        self.events = Registry()
        self.scheduler = Scheduler()
        self.scheduler.clock = clock
        self._engine = make_engine(url)
        self._history = SqlHistory(self._engine, run)
        with self.scheduled():
            self.runtime = Runtime(settings, self._site(), HANDLERS, 0)

    @contextmanager
    def scheduled(self):
        with pytest.MonkeyPatch.context() as patch:
            for module in TIMED:
                patch.setattr(module, "time", self.scheduler.clock)
            patch.setattr(arrivals, "PATIENCE", NEVER)
            patch.setattr(reactor, "make_driver", lambda: Driver(self.scheduler))
            yield

    def _site(self):
        slow = {part: Yielding(self.scheduler, part(self._engine, run)) for part in (IoSessions, IoMissed)}
        history = Yielding(self.scheduler, self._history)
        return Site(
            guard=Guard(
                lambda name: {"name": name}, lambda claims: Identity(f"id-{claims['name']}", claims["name"])
            ),
            hooks=Hooks(),
            store=StoreAccess(
                control=NoControl(),
                history=history,
                commit=history.append,
                socketio=IoStore(slow[IoSessions], slow[IoMissed], lambda: b"key"),
            ),
            events=self.events,
            links=WorkerLinks(make_broker=lambda driver, origin: MemoryBroker(driver, origin, self._bus)),
        )

    def step(self, choice):
        with self.scheduled():
            return self.scheduler.step(choice)

    def connect(self, name):
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        handshake = OpeningRequest("", "en", name, False)
        with self.scheduled():
            self.runtime.hub.reactor.call(
                self.runtime.io_engine.open_websocket, Taken(ours.detach(), b"", b""), handshake
            )
        return Line(theirs)

    def kill(self):
        """End it at once, whatever it was doing."""
        with self.scheduled():
            self.runtime.broker.close()
            self.scheduler.end()
            for parked in self.runtime.hub.reactor.parked():
                parked.drop()
            self.runtime.hub.reactor.close()
        self._history.close()
        self._engine.dispose()


class Line(Peer):
    """A client's end of its connection: Engine.IO packets."""

    def send(self, packet):
        self.write(text_frame(packet))

    def receive(self):
        """Return the packets that have arrived; answer pings."""
        packets = [payload.decode() for opcode, payload in frames(self.read()) if opcode == 1]
        for _ in range(packets.count("2")):
            self.send("3")
        return [packet for packet in packets if packet != "2"]

    def cut(self):
        self.sock.close()


class StockClient:
    """A stock client: it keeps a pid, an offset and the acks that it waits for."""

    def __init__(self, name):
        self.name = name
        self.line = self.id = self.pid = self.offset = None
        self.recovered = self.is_connected = False
        self._numbers = itertools.count()
        self._waiting = {}

    def connect(self, process, **auth):
        self.line, self.is_connected = process.connect(self.name), False
        self._waiting.clear()
        kept = {"pid": self.pid, "offset": self.offset} if self.pid is not None else {}
        known = {key: value for key, value in kept.items() if value is not None}
        self.line.send("40" + json.dumps({"token": self.name, **known, **auth}))

    def cut(self):
        self.line.cut()
        self.line = None

    def emit(self, event, message, answered):
        number = next(self._numbers)
        self._waiting[number] = answered
        self.line.send(f"42{number}" + json.dumps([event, message]))

    def read_packets(self):
        for packet in self.line.receive():
            kind, body = packet[:2], packet[2:]
            if kind == "40":
                answer = json.loads(body)
                self.is_connected, self.recovered = True, answer["pid"] == self.pid
                self.id, self.pid = answer["sid"], answer["pid"]
                self.connected()
            elif kind == "42":
                event, *args = json.loads(body)
                self.receive(event, *args)
                if isinstance(args[-1], str):
                    self.offset = args[-1]
            elif kind == "43":
                at = body.index("[")
                self._waiting.pop(int(body[:at]))(json.loads(body[at:])[0])
            else:
                assert packet[0] == "0", packet


def run(function):
    return function()


def new_clock():
    return FakeClock()


def io_settings(**others):
    """Settings without limits, heartbeats or grace."""
    return replace(quick_settings(**others), io_chat_namespace="/")
