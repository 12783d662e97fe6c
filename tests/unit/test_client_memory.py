"""The memory that one idle client takes: what it adds to hub, room, roster and reactor once it is admitted."""

import gc
import resource
import socket
import tracemalloc

import pytest

from chat.config import Settings
from chat.loop import reactor
from chat.rooms.client import Taken
from chat.rooms.dispatcher import Dispatcher
from chat.rooms.handlers import HANDLERS
from chat.rooms.hub import Hub
from chat.rooms.native_wire import NativeWire
from chat.wire.envelope import Identity
from tests.stepping import Scheduler, SteppedDriver
from tests.wsclient import text_frame

CLIENTS = 400
#: Bytes of one client: the Client and its socket, its user, and its entries in the dictionaries of hub, room, roster
#: and reactor. Measured: 809 on Python 3.11. The user's own strings, about 180 bytes, are not among them.
MOST = 820


@pytest.fixture(autouse=True)
def descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def hub(monkeypatch):
    """A hub without limits, whose loop runs only where the test runs a part of it."""
    monkeypatch.setattr(reactor, "make_driver", lambda: SteppedDriver(Scheduler()))
    settings = Settings(rate_limit=0, max_connections=10_000, max_connections_per_ip=10_000)
    hub = Hub(settings, pytest.fail, 10_000)
    yield hub
    for parked in hub.reactor.parked():
        parked.drop()
    hub.reactor.close()


class Crowd:
    """Clients with a user each, on socket pairs."""

    def __init__(self, hub):
        self._hub = hub
        self._wire = NativeWire(Dispatcher(hub, None, HANDLERS))
        self.clients, self.peers = [], []

    def prepare(self, count):
        """Make what is not to be counted: sockets for `count` more clients, and their users."""
        numbers = range(len(self.peers), len(self.peers) + count)
        users = [Identity(f"id{number:010d}", f"user{number:06d}") for number in numbers]
        pairs = [socket.socketpair() for _ in numbers]
        for _, theirs in pairs:
            theirs.setblocking(False)
        self.peers += [theirs for _, theirs in pairs]
        return [(ours.detach(), user) for ours, user in pairs_with(pairs, users)]

    def admit(self, prepared):
        """Admit a client for each; its peer reads what it is sent at first."""
        for fd, user in prepared:
            client = self._hub.park(Taken(fd, b"", b""), self._wire)
            client.address, client.extended, client.diff = "127.0.0.1", True, True
            self._hub.admit(client, user)
            self._hub.flush()
            self.peers[len(self.clients)].recv(1 << 20)
            self.clients.append(client)


def pairs_with(pairs, users):
    return ((ours, user) for (ours, _), user in zip(pairs, users, strict=True))


@pytest.fixture
def crowd(hub):
    crowd = Crowd(hub)
    yield crowd
    for peer in crowd.peers:
        peer.close()


def bytes_grown(work, *args):
    """Return how many bytes of Python objects are left of `work(*args)`."""
    gc.collect()
    tracemalloc.start()
    work(*args)
    gc.collect()
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return grown


def test_an_idle_client_takes_no_more_memory_than_it_did(crowd):
    crowd.admit(crowd.prepare(20))
    prepared = crowd.prepare(CLIENTS)
    assert bytes_grown(crowd.admit, prepared) / CLIENTS <= MOST


def test_a_client_keeps_nothing_of_the_messages_that_it_has_sent(crowd, hub):
    crowd.admit(crowd.prepare(CLIENTS))
    frame = text_frame('{"type":1,"room":"nowhere"}')

    def talk():
        for client, peer in zip(crowd.clients, crowd.peers, strict=True):
            client.feed(frame[:9])
            client.feed(frame[9:])
            hub.flush()
            assert b"not_joined" in peer.recv(1 << 20)

    talk()
    assert bytes_grown(talk) / CLIENTS < 8


def test_a_client_has_a_parser_of_its_own_only_while_a_message_is_unfinished(crowd, hub):
    crowd.admit(crowd.prepare(2))
    one, other = crowd.clients
    first, second = (text_frame(f'{{"type":1,"room":"{name}"}}') for name in ("one", "other"))
    one.feed(first[:9])
    other.feed(second[:5])
    other.feed(second[5:])
    one.feed(first[9:] + first)
    hub.flush()
    assert crowd.peers[0].recv(1 << 20).count(b"not_joined") == 2
    assert crowd.peers[1].recv(1 << 20).count(b"not_joined") == 1
