"""Several processes of one chat on one store, all in this process and by turns; clients are on socket pairs."""

import socket
from contextlib import contextmanager
from types import MappingProxyType

import pytest

from chat.cluster.broker.memory import Bus, MemoryBroker
from chat.config import Settings
from chat.identity.guard import Grant, Guard
from chat.loop import reactor
from chat.rooms import catch_up, drain, group_commit
from chat.rooms.client import Taken
from chat.rooms.handlers import HANDLERS
from chat.runtime import Runtime, Site, StoreAccess, WorkerLinks
from chat.socketio.registry import Registry
from chat.store.history import StoreUnavailable
from chat.store.memory import MemoryHistory
from chat.wire.envelope import Envelope, Identity
from tests.owner import Peer
from tests.resumer import Said
from tests.turns import Slow, Turns, TurnsDriver
from tests.unframed import messages
from tests.wsclient import text_frame

#: Modules that look at the clock while a chat is served.
TIMED = (catch_up, drain, reactor, group_commit)


class NoControl:
    """The control table of a site in which nobody is ever kicked."""

    def after(self, last):
        return []

    def prune(self, before):
        pass


class Hooks:
    """The hooks of a site without signals, whose users need no rows."""

    receivers = MappingProxyType({"connect": {}, "disconnect": {}, "message": {}})

    def run(self, function, *args):
        return function(*args)

    def ensure_users(self, *identities):
        pass

    def ensure_site_user(self, identity):
        pass


class Store(MemoryHistory):
    """A history in memory that can also commit what it is given and then fail to say so."""

    forgetful = False
    #: A mark that does not move, as on PostgreSQL while somebody's long transaction is open.
    old_mark = None

    def changed(self, mark):
        new, rows = super().changed(mark)
        return (new if self.old_mark is None else self.old_mark), rows

    def told(self):
        """{room: what was stored in it, as Said}, be the store down or not."""
        rows = self._rooms.items()
        return {row.name: [_said(message) for message in self._messages[id]] for id, row in rows}

    def append(self, drafts, origin):
        results = super().append(drafts, origin)
        if self.forgetful:
            raise StoreUnavailable("the answer was lost")
        return results


class LossyBus(Bus):
    """Loses every nth hint while `every` is not 0."""

    every, count = 0, 0

    def loses(self):
        self.count += 1
        return bool(self.every) and self.count % self.every == 0


class House:
    """`processes` serve one `store`, joined by a `bus` where there is one; `turns` is who moves."""

    def __init__(self, processes, settings, users, bus=None):
        self.bus = bus
        self.turns = Turns()
        self.store = Store([identity(name) for name in users])
        with self._in_turns():
            self.processes = [self._process(settings) for _ in range(processes)]

    @contextmanager
    def _in_turns(self):
        with pytest.MonkeyPatch.context() as patch:
            for module in TIMED:
                patch.setattr(module, "time", self.turns.clock)
            patch.setattr(reactor, "make_driver", lambda: TurnsDriver(self.turns))
            yield

    def _process(self, settings):
        history = Slow(self.turns, self.store)
        site = Site(
            guard=Guard(None, None),
            hooks=Hooks(),
            store=StoreAccess(control=NoControl(), history=history, commit=history.append),
            events=Registry(),
            links=WorkerLinks(make_broker=lambda driver, origin: MemoryBroker(driver, origin, self.bus)),
        )
        return Runtime(settings, site, HANDLERS, 0)

    def step(self, choice):
        with self._in_turns():
            self.turns.step(choice)

    def mix(self, chance, steps=40):
        """Let whoever can move do so, in an order that `chance` chooses; somewhere a second passes. Then settle."""
        second = chance.randrange(steps)
        for number in range(steps):
            if number == second:
                self.turns.clock.now += 1.0
            self.step(chance.randrange(8))
        self.settle()

    def settle(self):
        """Let all be done, and every process look for what the others have stored."""
        with self._in_turns():
            self.turns.run(2.5)

    def connect(self, process, name):
        """A connection of the user to one of the processes, not yet in the lobby."""
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        granted = Grant(identity(name), float("inf"), 0)
        with self._in_turns():
            self.processes[process].admission.admit(
                Taken(ours.detach(), b"", b""), granted, "/", lobby=False, extended=True
            )
        return Line(theirs)

    def begin(self, function, *args):
        """Let `function` run beside all else, where it may block."""
        self.turns.begin(function, *args)

    def drain(self, process):
        """Send the clients of a process away."""
        with self._in_turns():
            self.processes[process].shutdown.begin()

    def say(self, process, room, text):
        """Let the house say something; it is done when it is done."""
        self.begin(self.processes[process].messages.send, Envelope(2, text, room))

    def end(self):
        with self._in_turns():
            self.turns.end()
            for process in self.processes:
                for parked in process.hub.reactor.parked():
                    parked.drop()
                process.hub.reactor.close()


class Line(Peer):
    """A client's end of its connection."""

    def send(self, message):
        self.say(text_frame(message))

    def hear(self):
        """The messages that have come."""
        return messages(self.read())

    def cut(self):
        self.sock.close()


def _said(message):
    return Said(message.seq, message.user and message.user.id, message.id, message.data)


def identity(name):
    return Identity(f"id-{name}", name)


def quick_settings(**others):
    """Settings without limits, heartbeats, grace or Socket.IO."""
    never = 1e9
    return Settings(
        rate_limit=0,
        io_chat_namespace="",
        ping_interval=never,
        ping_timeout=never,
        io_ping_interval=never,
        io_ping_timeout=never,
        roster_grace=0.0,
        **others,
    )
