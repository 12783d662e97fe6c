"""Clients are closed in batches, on a clock that the test advances; and in a real process, in many orders."""

import random
from collections import Counter
from contextlib import contextmanager

import pytest

from chat.rooms.drain import BATCH_INTERVAL, SINGLE_BATCH, STORE_POLL, STORE_TIMEOUT, Drain
from tests import client_owner as owners
from tests.in_process import Processes, quick_settings
from tests.resumer import ACK, GROUP, JOIN
from tests.server_frames import frames, messages
from tests.wsclient import CLOSE, close_payload

CLIENTS, SECONDS = 1_000, 5.0
ORDERS = 60


class Hub(owners.Owner):
    """A hub that is its own reactor, with clients that are not parked; it records which are not read."""

    def __init__(self):
        super().__init__()
        self.draining = False
        self.reactor = self
        self.all_clients, self.pollers, self.timers, self.paused, self.errors = [], set(), [], set(), []
        #: {second: clients that left in it}
        self.left_at = Counter()

    def clients(self):
        return [*self.all_clients, *self.pollers]

    def call_soon(self, function, *args):
        function(*args)

    def call_later(self, delay, function, *args):
        self.timers.append((self.now + delay, function, args))

    def pause(self, client):
        self.paused.add(client)

    def resume(self, client):
        self.paused.discard(client)

    def fail(self, client, error):
        self.errors.append(client)

    def leave(self, client):
        super().leave(client)
        self.left_at[round(self.now - 1_000.0, 3)] += 1

    def pass_time(self, seconds):
        """Turn the clock, and whatever is due with it."""
        end = self.now + seconds
        while due := [timer for timer in self.timers if timer[0] <= end]:
            timer = min(due, key=lambda one: one[0])
            self.timers.remove(timer)
            at, function, args = timer
            self.now = max(self.now, at)
            function(*args)
        self.now = end


class Store:
    """Tells whether all messages are stored: not while it `is_unavailable`."""

    is_unavailable = False

    def progress(self):
        return lambda: not self.is_unavailable


@pytest.fixture
def hub():
    hub = Hub()
    yield hub
    for client in hub.clients():
        client.drop()


@pytest.fixture
def connect(hub):
    """come(n) connects n clients to the hub."""
    peers = []

    def connect(count):
        clients = []
        for _ in range(count):
            client, peer = owners.connect(hub)
            peers.append(peer)
            clients.append(client)
        hub.all_clients += clients
        return clients

    yield connect
    for peer in peers:
        peer.sock.close()


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def drain(hub, store):
    return Drain(hub, store.progress)


# -- the pace


@pytest.mark.parametrize("count", [0, 1, SINGLE_BATCH])
def test_few_clients_are_closed_at_once(hub, connect, drain, count):
    clients = connect(count)
    drain.schedule(SECONDS)
    assert {client.close_code for client in clients} <= {1012}
    assert len(hub.leavers) == count


def test_many_clients_are_closed_evenly_over_the_time(hub, connect, drain):
    connect(CLIENTS)
    drain.schedule(SECONDS)
    assert 0 < len(hub.leavers) < SINGLE_BATCH
    hub.pass_time(SECONDS / 2)
    assert CLIENTS * 0.4 < len(hub.leavers) < CLIENTS * 0.6
    hub.pass_time(SECONDS / 2)
    assert len(hub.leavers) == CLIENTS
    assert max(hub.left_at.values()) <= 1.5 * CLIENTS * BATCH_INTERVAL / SECONDS
    assert {client.close_code for client in hub.leavers} == {1012}


def test_the_order_is_random(hub, connect, drain):
    clients = connect(CLIENTS)
    drain.schedule(SECONDS)
    hub.pass_time(SECONDS / 4)
    came_early = set(clients[: CLIENTS // 2])
    early = sum(client in came_early for client in hub.leavers)
    assert 0.25 < early / len(hub.leavers) < 0.75


def test_a_drain_of_zero_seconds_closes_all_at_once(hub, connect, drain):
    connect(CLIENTS)
    drain.schedule(0)
    assert len(hub.leavers) == CLIENTS


def test_a_loop_that_was_late_catches_up(hub, connect, drain):
    connect(CLIENTS)
    drain.schedule(SECONDS)
    hub.now += SECONDS * 0.9
    hub.pass_time(SECONDS * 0.1)
    assert len(hub.leavers) == CLIENTS


def test_a_later_shorter_drain_ends_sooner(hub, connect, drain):
    connect(CLIENTS)
    drain.schedule(SECONDS)
    hub.pass_time(1)
    drain.schedule(0)
    hub.pass_time(BATCH_INTERVAL)
    assert len(hub.leavers) == CLIENTS


def test_a_repeated_drain_ends_no_later(hub, connect, drain):
    connect(CLIENTS)
    drain.schedule(SECONDS)
    hub.pass_time(SECONDS - 1)
    drain.schedule(SECONDS)
    hub.pass_time(1)
    assert len(hub.leavers) == CLIENTS


def test_pollers_are_closed_at_once_however_many_clients_there_are(hub, connect, drain):
    poller = connect(CLIENTS)[0]
    hub.all_clients.remove(poller)
    hub.pollers.add(poller)
    drain.schedule(SECONDS)
    assert poller.close_code == 1012


def test_a_client_that_connects_meanwhile_is_closed_with_the_last(hub, connect, drain):
    connect(CLIENTS)
    drain.schedule(SECONDS)
    (late,) = connect(1)
    hub.pass_time(SECONDS - 2 * BATCH_INTERVAL)
    assert not late.closing
    hub.pass_time(2 * BATCH_INTERVAL)
    assert late.close_code == 1012


def test_a_client_closed_meanwhile_keeps_its_code(hub, connect, drain):
    clients = connect(CLIENTS)
    drain.schedule(SECONDS)
    gone = next(client for client in clients if not client.closing)
    gone.close(4403)
    hub.pass_time(SECONDS)
    assert gone.close_code == 4403


def test_a_client_that_raises_does_not_stop_the_drain(hub, connect, drain):
    broken, *others = connect(SINGLE_BATCH)
    broken.wire = None
    hub.leave = lambda client: client.wire.on_close(client)
    drain.schedule(0)
    assert hub.errors == [broken]
    assert {client.close_code for client in others} == {1012}


# -- messages before the close


def test_a_batch_waits_for_the_store_and_is_not_read_meanwhile(hub, connect, drain, store):
    clients = set(connect(3))
    store.is_unavailable = True
    drain.schedule(SECONDS)
    hub.pass_time(STORE_TIMEOUT / 2)
    assert not hub.leavers and hub.paused == clients
    store.is_unavailable = False
    hub.pass_time(BATCH_INTERVAL)
    assert set(hub.leavers) == clients and not hub.paused


def test_an_unavailable_store_does_not_stop_the_drain(hub, connect, drain, store):
    connect(CLIENTS)
    store.is_unavailable = True
    drain.schedule(SECONDS)
    hub.pass_time(SECONDS)
    assert 0 < len(hub.leavers) < CLIENTS
    hub.pass_time(STORE_TIMEOUT)
    assert len(hub.leavers) == CLIENTS


# -- the wait for the end


class Sleeper:
    """A driver that advances the clock instead of sleeping."""

    def __init__(self, hub):
        self._hub = hub

    def sleep(self, seconds):
        self._hub.pass_time(seconds)


@pytest.fixture
def slept(hub, monkeypatch):
    """Return a function that tells how many seconds were slept."""
    hub.driver = Sleeper(hub)
    monkeypatch.setattr("chat.rooms.drain.time.monotonic", lambda: hub.now)
    monkeypatch.setattr(
        Hub, "__len__", lambda self: sum(client.fd >= 0 for client in self.all_clients), raising=False
    )
    return lambda: hub.now - 1_000.0


def test_there_is_no_wait_for_disconnected_clients(hub, connect, drain, slept):
    for client in connect(3):
        client.drop()
    drain.start(SECONDS)
    assert hub.draining
    assert drain.wait(SECONDS) is True
    assert slept() == 0


def test_the_wait_for_a_client_that_never_answers_is_short(connect, drain, slept):
    connect(1)
    drain.start(SECONDS)
    assert drain.wait(SECONDS) is False
    assert 0.9 < slept() < 1.1


def test_the_wait_is_as_long_as_the_drain(connect, drain, slept):
    connect(CLIENTS)
    drain.start(SECONDS)
    drain.wait(60)
    assert SECONDS < slept() + BATCH_INTERVAL < SECONDS + 1.2


def test_the_wait_ends_at_its_limit(hub, connect, drain, slept):
    connect(CLIENTS)
    drain.start(SECONDS)
    hub.pass_time(1)
    drain.wait(2)
    assert 1.9 < slept() < 2.1


# -- in a real process


@contextmanager
def busy_process(rng):
    """A process with five clients in the lobby, each of which has just sent messages."""
    names = [f"c{number}" for number in range(5)]
    processes = Processes(1, quick_settings(), names)
    lines = [processes.connect(0, name) for name in names]
    try:
        for line in lines:
            line.send({"type": JOIN, "room": "lobby"})
        processes.settle()
        for number, line in enumerate(lines):
            line.receive()
            for turn in range(3):
                line.send({"type": GROUP, "data": "hi", "id": f"{number}-{turn}"})
        yield processes, lines
    finally:
        for line in lines:
            line.close()
        processes.end()


def take_steps(processes, rng, most):
    for _ in range(rng.randrange(most)):
        processes.step(rng.randrange(8))


def test_a_client_that_waits_to_be_admitted_is_told_to_reconnect():
    processes = Processes(1, quick_settings(), ["ann", "bob"])
    lines = []
    try:
        processes.store.hangs = True
        lines.append(processes.connect(0, "ann"))
        processes.settle()
        assert processes.runtimes[0].admission.waiting == 1
        assert lines[0].read() == b""
        processes.drain(0)
        lines.append(processes.connect(0, "bob"))
        processes.settle()
        assert processes.runtimes[0].admission.waiting == 0
        for line in lines:
            assert list(frames(line.read())) == [(CLOSE, close_payload(1012))]
    finally:
        for line in lines:
            line.close()
        processes.store.hangs = False
        processes.end()


def test_messages_read_are_acknowledged_before_the_close():
    for number in range(ORDERS):
        rng = random.Random(number)
        with busy_process(rng) as (processes, lines):
            take_steps(processes, rng, 12)
            processes.drain(0)
            for turn in range(20):
                rng.choice(lines).send({"type": GROUP, "data": "late", "id": f"late-{turn}"})
                take_steps(processes, rng, 4)
                processes.scheduler.clock.now += STORE_POLL
            processes.settle()
            acked = []
            for data in [line.read() for line in lines]:
                *_, last = frames(data)
                assert last == (CLOSE, close_payload(1012)), number
                acked += [one["ref"] for one in messages(data) if one["type"] == ACK]
            stored = [one.id for one in processes.store.stored()["lobby"]]
            assert sorted(stored) == sorted(acked), number
