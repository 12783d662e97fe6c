"""Everybody is sent away in batches, on a clock that the test turns; and in a real process, in many orders."""

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

CROWD, SECONDS = 1_000, 5.0
ORDERS = 60


class Hub(owners.Owner):
    """A hub whose reactor is itself, and whose clients are parked nowhere; it notes whom it does not read."""

    def __init__(self):
        super().__init__()
        self.draining = False
        self.reactor = self
        self.crowd, self.pollers, self.timers, self.paused, self.errors = [], set(), [], set(), []
        #: {second: how many left in it}
        self.left_at = Counter()

    def clients(self):
        return [*self.crowd, *self.pollers]

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
    """What tells whether all is stored; `is_away` says that nothing is."""

    is_away = False

    def progress(self):
        return lambda: not self.is_away


@pytest.fixture
def hub():
    hub = Hub()
    yield hub
    for client in hub.clients():
        client.drop()


@pytest.fixture
def come(hub):
    """come(n) makes so many clients, which the hub has from now on."""
    peers = []

    def come(count):
        clients = []
        for _ in range(count):
            client, peer = owners.connect(hub)
            peers.append(peer)
            clients.append(client)
        hub.crowd += clients
        return clients

    yield come
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
def test_a_small_crowd_goes_at_once(hub, come, drain, count):
    clients = come(count)
    drain.schedule(SECONDS)
    assert {client.close_code for client in clients} <= {1012}
    assert len(hub.leavers) == count


def test_a_crowd_goes_evenly_over_the_time_that_there_is(hub, come, drain):
    come(CROWD)
    drain.schedule(SECONDS)
    assert 0 < len(hub.leavers) < SINGLE_BATCH
    hub.pass_time(SECONDS / 2)
    assert CROWD * 0.4 < len(hub.leavers) < CROWD * 0.6
    hub.pass_time(SECONDS / 2)
    assert len(hub.leavers) == CROWD
    assert max(hub.left_at.values()) <= 1.5 * CROWD * BATCH_INTERVAL / SECONDS
    assert {client.close_code for client in hub.leavers} == {1012}


def test_chance_says_who_goes_first(hub, come, drain):
    clients = come(CROWD)
    drain.schedule(SECONDS)
    hub.pass_time(SECONDS / 4)
    came_early = set(clients[: CROWD // 2])
    early = sum(client in came_early for client in hub.leavers)
    assert 0.25 < early / len(hub.leavers) < 0.75


def test_in_no_seconds_all_go_at_once(hub, come, drain):
    come(CROWD)
    drain.schedule(0)
    assert len(hub.leavers) == CROWD


def test_a_loop_that_was_late_catches_up(hub, come, drain):
    come(CROWD)
    drain.schedule(SECONDS)
    hub.now += SECONDS * 0.9
    hub.pass_time(SECONDS * 0.1)
    assert len(hub.leavers) == CROWD


def test_who_is_in_a_hurry_ends_sooner(hub, come, drain):
    come(CROWD)
    drain.schedule(SECONDS)
    hub.pass_time(1)
    drain.schedule(0)
    hub.pass_time(BATCH_INTERVAL)
    assert len(hub.leavers) == CROWD


def test_who_is_told_again_ends_no_later(hub, come, drain):
    come(CROWD)
    drain.schedule(SECONDS)
    hub.pass_time(SECONDS - 1)
    drain.schedule(SECONDS)
    hub.pass_time(1)
    assert len(hub.leavers) == CROWD


def test_who_polls_goes_at_once_whatever_the_crowd(hub, come, drain):
    poller = come(CROWD)[0]
    hub.crowd.remove(poller)
    hub.pollers.add(poller)
    drain.schedule(SECONDS)
    assert poller.close_code == 1012


def test_who_comes_while_the_others_go_goes_with_the_last(hub, come, drain):
    come(CROWD)
    drain.schedule(SECONDS)
    (late,) = come(1)
    hub.pass_time(SECONDS - 2 * BATCH_INTERVAL)
    assert not late.closing
    hub.pass_time(2 * BATCH_INTERVAL)
    assert late.close_code == 1012


def test_who_went_meanwhile_stays_what_it_was(hub, come, drain):
    clients = come(CROWD)
    drain.schedule(SECONDS)
    gone = next(client for client in clients if not client.closing)
    gone.close(4403)
    hub.pass_time(SECONDS)
    assert gone.close_code == 4403


def test_one_that_raises_keeps_nobody_here(hub, come, drain):
    broken, *others = come(SINGLE_BATCH)
    broken.wire = None
    hub.leave = lambda client: client.wire.on_close(client)
    drain.schedule(0)
    assert hub.errors == [broken]
    assert {client.close_code for client in others} == {1012}


# -- what was said before


def test_a_batch_waits_for_the_store_and_is_not_read_meanwhile(hub, come, drain, store):
    clients = set(come(3))
    store.is_away = True
    drain.schedule(SECONDS)
    hub.pass_time(STORE_TIMEOUT / 2)
    assert not hub.leavers and hub.paused == clients
    store.is_away = False
    hub.pass_time(BATCH_INTERVAL)
    assert set(hub.leavers) == clients and not hub.paused


def test_a_store_that_stays_away_keeps_nobody(hub, come, drain, store):
    come(CROWD)
    store.is_away = True
    drain.schedule(SECONDS)
    hub.pass_time(SECONDS)
    assert 0 < len(hub.leavers) < CROWD
    hub.pass_time(STORE_TIMEOUT)
    assert len(hub.leavers) == CROWD


# -- the wait for the end


class Sleeper:
    """A driver for which to sleep is to let the time pass."""

    def __init__(self, hub):
        self._hub = hub

    def sleep(self, seconds):
        self._hub.pass_time(seconds)


@pytest.fixture
def slept(hub, monkeypatch):
    """How long somebody has slept so far, asked as a function."""
    hub.driver = Sleeper(hub)
    monkeypatch.setattr("chat.rooms.drain.time.monotonic", lambda: hub.now)
    monkeypatch.setattr(
        Hub, "__len__", lambda self: sum(client.fd >= 0 for client in self.crowd), raising=False
    )
    return lambda: hub.now - 1_000.0


def test_nobody_waits_for_who_has_gone(hub, come, drain, slept):
    for client in come(3):
        client.drop()
    drain.start(SECONDS)
    assert hub.draining
    assert drain.wait(SECONDS) is True
    assert slept() == 0


def test_one_that_never_answers_is_waited_for_a_moment(come, drain, slept):
    come(1)
    drain.start(SECONDS)
    assert drain.wait(SECONDS) is False
    assert 0.9 < slept() < 1.1


def test_the_wait_is_as_long_as_the_drain(come, drain, slept):
    come(CROWD)
    drain.start(SECONDS)
    drain.wait(60)
    assert SECONDS < slept() + BATCH_INTERVAL < SECONDS + 1.2


def test_the_wait_ends_when_it_must(hub, come, drain, slept):
    come(CROWD)
    drain.start(SECONDS)
    hub.pass_time(1)
    drain.wait(2)
    assert 1.9 < slept() < 2.1


# -- in a real process


@contextmanager
def talking(chance):
    """A process with five clients in the lobby, who have all just said something."""
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


def take_turns(processes, chance, most):
    for _ in range(chance.randrange(most)):
        processes.step(chance.randrange(8))


def test_what_was_taken_is_acknowledged_before_the_close():
    for number in range(ORDERS):
        chance = random.Random(number)
        with talking(chance) as (processes, lines):
            take_turns(processes, chance, 12)
            processes.drain(0)
            for turn in range(20):
                chance.choice(lines).send({"type": GROUP, "data": "late", "id": f"late-{turn}"})
                take_turns(processes, chance, 4)
                processes.scheduler.clock.now += STORE_POLL
            processes.settle()
            acked = []
            for data in [line.read() for line in lines]:
                *_, last = frames(data)
                assert last == (CLOSE, close_payload(1012)), number
                acked += [one["ref"] for one in messages(data) if one["type"] == ACK]
            stored = [one.id for one in processes.store.stored()["lobby"]]
            assert sorted(stored) == sorted(acked), number
