"""Several processes of one chat on one store, simulated in the test's own process; clients connect by socket pairs."""

import socket
from contextlib import contextmanager
from types import MappingProxyType

import pytest

from chat.cluster.broker.memory import Bus, MemoryBroker
from chat.config import Settings
from chat.identity.guard import Grant, Guard
from chat.loop import reactor
from chat.rooms import arrivals, catch_up, drain, group_commit
from chat.rooms.client import Taken
from chat.rooms.handlers import HANDLERS
from chat.runtime import Runtime, Site, StoreAccess, WorkerLinks
from chat.socketio.registry import Registry
from chat.store.history import StoreUnavailable
from chat.store.memory import MemoryHistory
from chat.wire.envelope import Envelope, Identity
from tests.client_owner import Peer
from tests.resumer import Said
from tests.server_frames import messages
from tests.stepping import Scheduler, SteppedDriver, Yielding
from tests.wsclient import text_frame

#: Modules that read the clock while a chat is served.
TIMED = (catch_up, drain, reactor, group_commit)
#: Seconds that no test lets pass.
NEVER = 1e9


class NoControl:
    """The control table of a site that never kicks a user."""

    def after(self, last):
        return []

    def prune(self, upto_id):
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
    """A history in memory; it can also commit what it is given and then raise, as when the answer is lost."""

    loses_answers = False
    #: Whether calls wait until it is False again.
    hangs = False
    #: A mark that does not move, as on PostgreSQL during another client's long transaction.
    frozen_mark = None

    def changed(self, mark):
        new, rows = super().changed(mark)
        return (new if self.frozen_mark is None else self.frozen_mark), rows

    def stored(self):
        """{room: its stored messages, as Said}, whether the store is down or not."""
        rows = self._rooms.items()
        return {row.name: [_said(message) for message in self._messages[id]] for id, row in rows}

    def append(self, drafts, origin):
        results = super().append(drafts, origin)
        if self.loses_answers:
            raise StoreUnavailable("the answer was lost")
        return results


class LossyBus(Bus):
    """Loses every nth bus message while `every` is not 0."""

    every, count = 0, 0

    def drops_next(self):
        self.count += 1
        return bool(self.every) and self.count % self.every == 0


class Processes:
    """`runtimes`, one per process, serve one `store`; a `bus` may join them. `scheduler` decides which takes a step."""

    def __init__(self, processes, settings, users, bus=None):
        self.bus = bus
        #: Seconds after which clients are admitted though the store does not answer.
        self.patience = NEVER
        self.scheduler = Scheduler()
        self.store = Store([identity(name) for name in users])
        with self._scheduled():
            self.runtimes = [self._runtime(settings) for _ in range(processes)]

    @contextmanager
    def _scheduled(self):
        with pytest.MonkeyPatch.context() as patch:
            for module in TIMED:
                patch.setattr(module, "time", self.scheduler.clock)
            patch.setattr(arrivals, "PATIENCE", self.patience)
            patch.setattr(reactor, "make_driver", lambda: SteppedDriver(self.scheduler))
            yield

    def _runtime(self, settings):
        history = Yielding(self.scheduler, self.store)
        site = Site(
            guard=Guard(None, None),
            hooks=Hooks(),
            store=StoreAccess(control=NoControl(), history=history, commit=history.append),
            events=Registry(),
            links=WorkerLinks(make_broker=lambda driver, origin: MemoryBroker(driver, origin, self.bus)),
        )
        return Runtime(settings, site, HANDLERS, 0)

    def step(self, choice):
        with self._scheduled():
            return self.scheduler.step(choice)

    def mix(self, chance, steps=40):
        """Run `steps` steps in a random order taken from `chance`, and one second somewhere among them. Then settle."""
        second = chance.randrange(steps)
        for number in range(steps):
            if number == second:
                self.scheduler.clock.now += 1.0
            self.step(chance.randrange(8))
        self.settle()

    def settle(self):
        """Run until nothing is left to do, long enough for each process to poll what its peers have stored."""
        with self._scheduled():
            self.scheduler.run(2.5)

    def connect(self, process, name, lobby=False, extended=True):
        """Connect the user to one of the processes."""
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        granted = Grant(identity(name), float("inf"), 0)
        with self._scheduled():
            self.runtimes[process].admission.admit(
                Taken(ours.detach(), b"", b""), granted, "/", lobby=lobby, extended=extended
            )
        return Connection(theirs)

    def spawn(self, function, *args):
        """Run `function` beside everything else; it may block."""
        self.scheduler.spawn(function, *args)

    def drain(self, process):
        """Begin to drain a process: it disconnects its clients."""
        with self._scheduled():
            self.runtimes[process].shutdown.begin()

    def send(self, process, room, text):
        """Begin to send a message of the site's own, which has no sender."""
        self.spawn(self.runtimes[process].messages.send, Envelope(2, text, room))

    def end(self):
        with self._scheduled():
            self.scheduler.end()
            for runtime in self.runtimes:
                for parked in runtime.hub.reactor.parked():
                    parked.drop()
                runtime.hub.reactor.close()


class Connection(Peer):
    """A client's end of its connection."""

    def send(self, message):
        self.write(text_frame(message))

    def receive(self):
        """The messages that have arrived since the last call."""
        return messages(self.read())

    def close(self):
        self.sock.close()


def _said(message):
    return Said(message.seq, message.user and message.user.id, message.id, message.data)


def identity(name):
    return Identity(f"id-{name}", name)


def quick_settings(**options):
    """Settings without limits, heartbeats, grace or Socket.IO."""
    return Settings(
        rate_limit=0,
        io_chat_namespace="",
        ping_interval=NEVER,
        ping_timeout=NEVER,
        io_ping_interval=NEVER,
        io_ping_timeout=NEVER,
        roster_grace=0.0,
        **options,
    )
