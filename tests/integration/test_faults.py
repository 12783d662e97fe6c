"""Two machines of two workers each, and what may befall them: played for real, under 200 clients who talk all the time.

After each fault every acknowledged message is stored once, every room's seq has no gap, what each client has heard is
what the store has, and what each sees of who is there is right.
"""

import os
import signal
from collections import Counter
from itertools import count
from statistics import median

import pytest

from tests.databases import stored
from tests.integration.people import make_room, names_in
from tests.machines import LEASE, two_machines
from tests.resumer import ERROR, GROUP
from tests.steady_crowd import RATE, SteadyClient, SteadyCrowd
from tests.tokens import token
from tests.wsclient import text_frame

CLIENTS, TALKERS = 200, 24
ROOMS = ("lobby", "den", "attic")
#: Seconds within which what is said at one worker is heard at the others, with or without Valkey.
IN_TIME = 2.0
#: What half of it takes no longer than at the speaker's own worker; and how much longer at another one, if Valkey
#: carries it: by the comparison alone it would be 0.2 s or more.
AT_ONCE, CARRIED = 0.25, 0.08
#: Seconds that a roster may take beyond a lease, on a busy machine.
MARGIN = 2.0
#: Seconds for which Valkey is held still, and for which it or PostgreSQL is not there at all.
STILL, AWAY = 20.0, 3.0

FLOODING = 4429

numbers = count(1)


@pytest.fixture(scope="module")
def house():
    with two_machines() as house:
        for title in ROOMS[1:]:
            make_room(house.machines[0].server, title)
        yield house


@pytest.fixture
def crowd(house):
    """Everybody is there, has met, and talks."""
    clients = list(people(house, f"p{next(numbers)}x"))
    with SteadyCrowd(clients, clients[:TALKERS]) as crowd:
        crowd.until_synced()
        for client in clients[:TALKERS]:
            client.send(client.tell(client.peer, "hello"))
        crowd.until(lambda: all(client.direct for client in clients[:TALKERS]))
        crowd.until_all_see(crowd.names)
        for client in clients:
            client.left.clear()
        crowd.begin_to_talk()
        yield crowd


def people(house, prefix):
    """The clients, on both machines by turns; the talkers are pairs, on two machines each."""
    for number in range(CLIENTS):
        server = house.machines[number % 2].server
        peer = f"{prefix}{number ^ 1}" if number < TALKERS else None
        yield SteadyClient(server, f"{prefix}{number}", ROOMS, peer)


def check(house, crowd):
    """Hold that all is as it should be: in the store, with everybody, and in each worker's own roster."""
    crowd.until_as_stored(lambda: stored(house.url))
    crowd.until_all_see(crowd.names)
    with house.on_each_worker(token("eye")) as eyes:
        everybody = crowd.names | {"eye"}
        crowd.until_all_see(everybody, rooms=["lobby"])
        for eye in eyes.values():
            eye.recv_here()
            eye.send_json({"type": 1})
            assert names_in(eye.recv_json(type=1)) == everybody


def check_nobody_was_disturbed(crowd):
    """Hold that the fault cost nobody his connection, and that nobody was said to have gone who was there."""
    assert {client.connections for client in crowd.clients} == {1}
    assert crowd.told_to_have_left() & crowd.names == set()


def check_in_time(house, watch):
    """Hold that what was said came to the speaker's own worker at once, and to the others by the comparison."""
    workers = house.workers
    elsewhere = watch.between(workers, workers)
    assert median(watch.within(workers)) < AT_ONCE
    assert elsewhere[len(elsewhere) * 9 // 10] < IN_TIME


def check_at_once(watch, workers):
    """Hold that Valkey carries what is said between these workers: it is hardly later there than where it was said."""
    assert median(watch.between(workers, workers)) < median(watch.within(workers)) + CARRIED


def test_a_worker_is_killed(house, crowd):
    victim = busiest(house, crowd)
    gone = [client for client in crowd.clients if client.worker == victim and client.peer is None][:10]
    crowd.take_out(gone)
    os.kill(victim, signal.SIGKILL)
    for client in gone:
        client.socket.sock.close()
    crowd.until_all_see(crowd.names, LEASE + MARGIN)
    assert crowd.told_to_have_left() & crowd.names == set()
    crowd.until(house.is_well)
    check(house, crowd)


def test_a_worker_stands_still(house, crowd):
    """For longer than a lease: it is out of the others' rosters, and when it goes on nothing was lost."""
    victim = busiest(house, crowd)
    os.kill(victim, signal.SIGSTOP)
    crowd.go_on(LEASE + MARGIN)
    os.kill(victim, signal.SIGCONT)
    crowd.until_all_see(crowd.names)
    assert {client.connections for client in crowd.clients} == {1}
    assert {
        client.name: client.left for client in crowd.clients if client.worker == victim and client.left
    } == {}
    check(house, crowd)


def busiest(house, crowd):
    """The pid of the worker that has most of the clients."""
    crowd.locate(house)
    return Counter(client.worker for client in crowd.clients).most_common(1)[0][0]


def test_valkey_is_killed_and_comes_back_empty(house, crowd):
    house.valkey.kill()
    check_in_time(house, heard_in(crowd, house, AWAY))
    assert all(machine.broker_is("down") for machine in house.machines)
    house.valkey.start()
    crowd.until(house.is_well)
    check_at_once(heard_in(crowd, house, AWAY), house.workers)
    check_nobody_was_disturbed(crowd)
    check(house, crowd)


def heard_in(crowd, house, seconds):
    """Let the crowd talk for so long, and return the stopwatch."""
    with crowd.timing(house) as watch:
        crowd.go_on(seconds)
    return watch


def test_valkey_is_held_still(house, crowd):
    """For longer than a lease: workers that hear of nobody any more have no reason to think that all are dead."""
    with house.valkey.paused():
        check_in_time(house, heard_in(crowd, house, STILL / 2))
        assert all(machine.broker_is("down") for machine in house.machines)
        for client in leave(crowd, 5):
            crowd.add(SteadyClient(client.server, f"{client.name}new", ROOMS))
        check_in_time(house, heard_in(crowd, house, STILL / 2))
    crowd.until(house.is_well)
    crowd.until_all_see(crowd.names)
    check_nobody_was_disturbed(crowd)
    check(house, crowd)


def leave(crowd, number):
    """The last ones go away, and are returned."""
    gone = crowd.clients[-number:]
    crowd.take_out(gone)
    for client in gone:
        client.socket.sock.close()
    return gone


@pytest.mark.parametrize("fault", ["cut", "swallow"])
def test_one_machine_is_cut_off_from_valkey(house, crowd, fault):
    near, far = house.machines
    with far.cable.broken(fault):
        watch = heard_in(crowd, house, LEASE)
        check_in_time(house, watch)
        check_at_once(watch, near.workers)
        crowd.until(lambda: far.broker_is("down"))
        assert near.broker_is("up")
        leave(crowd, 5)
    crowd.until(house.is_well)
    crowd.until_all_see(crowd.names)
    assert {client.connections for client in crowd.clients} == {1}
    check(house, crowd)


def test_postgresql_is_restarted(house, crowd):
    house.postgresql.stop()
    crowd.go_on(0.5)  # what was acknowledged before is still on its way
    acks = crowd.acks
    crowd.go_on(AWAY)
    assert crowd.acks == acks
    assert any(client.errors for client in crowd.clients)
    house.postgresql.start()
    check_nobody_was_disturbed(crowd)
    check(house, crowd)


def test_a_client_floods(house, crowd):
    with house.machines[0].server.socket(token=token("flood")) as flood:
        flood.send_raw(b"".join(text_frame({"type": GROUP, "data": "me"}) for _ in range(2_000)))
        flood.recv_json(type=ERROR, code="flooding")
        assert flood.wait_closed()[0] == FLOODING
    crowd.go_on(
        2 * TALKERS / RATE
    )  # somebody has spoken after it at each worker: what is left of it is stored
    assert not any(client.errors for client in crowd.clients)
    check_nobody_was_disturbed(crowd)
    check(house, crowd)
