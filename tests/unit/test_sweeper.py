"""The one timer of all clients, on a clock that the test advances."""

import pytest

from chat import config
from chat.rooms.client import CLOSE_TIMEOUT
from chat.rooms.sweeper import ROUND, SLICE, Sweeper
from chat.wire.codec import frame
from chat.wire.errors import ChatError
from tests import client_owner as owners
from tests.server_frames import frames
from tests.wsclient import CLOSE, PING, PONG, TEXT
from tests.wsclient import frame as client_frame

INTERVAL, TIMEOUT, HALF, BEHIND = 25.0, 20.0, 30.0, 10.0
KEYS = {
    "CHAT_PING_INTERVAL": INTERVAL,
    "CHAT_PING_TIMEOUT": TIMEOUT,
    "CHAT_MESSAGE_TIMEOUT": HALF,
    "CHAT_OUTBOX_SECONDS": BEHIND,
}


class Hub(owners.Owner):
    """An owner with the timer, the list of clients and the refusals that a sweeper needs."""

    def __init__(self):
        self.settings = config.load(KEYS, {})
        super().__init__(settings=self.settings)
        self.reactor = self
        self.all_clients, self.timers, self.refused, self.errors = [], [], [], []

    def clients(self):
        return list(self.all_clients)

    def call_later(self, delay, function):
        self.timers.append((self.now + delay, function))

    def refuse(self, client, error: ChatError):
        self.refused.append((client, error.code))
        client.close(error.failure.close)

    def fail(self, client, error):
        self.errors.append((client, error))

    def pass_time(self, seconds):
        """Turn the clock, and the sweeper with it."""
        end = self.now + seconds
        while self.timers and self.timers[0][0] <= end:
            at, function = self.timers.pop(0)
            self.now = max(self.now, at)
            function()
            self.flush()
        self.now = end


@pytest.fixture
def hub():
    return Hub()


@pytest.fixture
def pair(hub):
    client, peer = owners.connect(hub)
    hub.all_clients.append(client)
    Sweeper(hub)
    yield client, peer
    client.drop()
    peer.sock.close()


def opcodes(peer):
    return [opcode for opcode, _ in frames(peer.read())]


# -- signs of life


def test_a_silent_client_is_pinged_within_the_interval(hub, pair):
    _, peer = pair
    hub.pass_time(INTERVAL - 2 * ROUND)
    assert opcodes(peer) == []
    hub.pass_time(2 * ROUND)
    assert opcodes(peer) == [PING]


def test_a_client_that_never_answers_is_dropped_within_interval_and_timeout(hub, pair):
    client, _ = pair
    hub.pass_time(INTERVAL + TIMEOUT - 3 * ROUND)
    assert client.fd >= 0
    hub.pass_time(3 * ROUND)
    assert client.fd < 0
    assert hub.leavers == [client]
    assert client.close_code == 1006


def test_a_client_that_answers_stays_and_is_pinged_again(hub, pair):
    client, peer = pair
    for _ in range(5):
        hub.pass_time(INTERVAL)
        assert opcodes(peer) == [PING]
        peer.write(client_frame(PONG))
        client.readable()
    assert client.fd >= 0


def test_a_client_that_sends_is_not_pinged(hub, pair):
    client, peer = pair
    for _ in range(20):
        hub.pass_time(INTERVAL / 3)
        peer.write(client_frame(TEXT, b"{}"))
        client.readable()
    assert opcodes(peer) == []


# -- what is limited in time


def test_an_unfinished_message_closes_the_connection(hub, pair):
    client, peer = pair
    peer.write(client_frame(TEXT, b"half")[:5])
    client.readable()
    hub.pass_time(HALF - 2)
    peer.write(client_frame(TEXT, b"half")[5:6])  # a byte now and then does not help
    client.readable()
    assert client.closing == 0
    hub.pass_time(2 + ROUND)
    assert (hub.leavers, client.close_code) == ([client], 4408)


def test_endless_fragments_close_it_too_despite_pings_between(hub, pair):
    client, peer = pair
    peer.write(client_frame(TEXT, b"a", fin=False))
    for _ in range(int(HALF) + 2):
        peer.write(client_frame(PING) + client_frame(0, b"b", fin=False))
        client.readable()
        hub.pass_time(1)
    assert client.close_code == 4408


def test_a_client_that_stays_slow_is_closed_though_its_outbox_is_small(hub, pair):
    client, _ = pair
    while not client.waiting:
        client.enqueue(frame({"x": "y" * 50_000}))
        hub.flush()
    assert client.waiting < hub.outbox_bytes
    hub.pass_time(BEHIND - ROUND)
    assert client.closing == 0
    hub.pass_time(2 * ROUND)
    assert client.close_code == 4408


def test_an_expired_token_closes_with_its_error(hub, pair, monkeypatch):
    client, _ = pair
    client.expires = hub.now + 1_000
    hub.pass_time(2 * ROUND)
    assert hub.refused == []
    client.expires = hub.now - 0.001
    hub.pass_time(2 * ROUND)
    assert hub.refused == [(client, "token_expired")]
    assert client.close_code == 4401


def test_an_unanswered_close_ends_after_its_time(hub, pair):
    client, peer = pair
    client.close(4403)
    hub.flush()
    hub.pass_time(CLOSE_TIMEOUT - 1)
    assert client.fd >= 0
    hub.pass_time(1 + ROUND)
    assert client.fd < 0
    assert opcodes(peer) == [CLOSE]


def test_an_ended_client_is_skipped(hub, pair):
    client, _ = pair
    client.drop()
    hub.pass_time(60)
    assert hub.errors == []


# -- the sweeper itself


class Looked:
    """What a sweeper sees of a client; it records when it was checked."""

    expires, closing, began, behind_since, pinged = float("inf"), 0.0, 0.0, float("inf"), 0.0

    def __init__(self, hub, at):
        self.hub, self.at, self.wire = hub, at, hub

    @property
    def gone(self):
        self.at.append(self.hub.now)
        return False

    @property
    def seen(self):
        return self.hub.now


def test_many_clients_are_checked_in_slices_once_a_round(hub):
    looks = []
    hub.all_clients = [Looked(hub, looks) for _ in range(3 * SLICE + 1)]
    Sweeper(hub)
    hub.pass_time(2.2 * ROUND)
    slices = {at: looks.count(at) for at in looks}
    assert max(slices.values()) == SLICE
    assert len(looks) >= len(hub.all_clients)
    hub.pass_time(10 * ROUND)
    rounds = len(looks) / len(hub.all_clients)
    assert 9 <= rounds <= 13


class Broken(Looked):
    """A client whose check raises."""

    @property
    def seen(self):
        raise RuntimeError("broken")


def test_a_client_that_raises_stops_neither_the_others_nor_the_sweeper(hub, pair):
    _, peer = pair
    broken = Broken(hub, [])
    hub.all_clients.insert(0, broken)
    hub.pass_time(INTERVAL)
    assert opcodes(peer) == [PING]
    assert {failed for failed, _ in hub.errors} == {broken}
