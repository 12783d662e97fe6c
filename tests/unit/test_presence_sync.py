"""Rosters of two processes that lose each other's bus messages become correct again within the lease."""

import pytest

from tests.in_process import LossyBus, Processes, identity, quick_settings

LEASE = 12.0


@pytest.fixture
def processes():
    processes = Processes(2, quick_settings(worker_lease=LEASE), ["ann", "bob"], LossyBus())
    processes.store.ensure_room("lobby")
    processes.store.create_room("den", "public", None)
    yield processes
    processes.end()


def join(processes, process, name, room="den"):
    line = processes.connect(process, name)
    line.send({"type": 6, "room": room})
    processes.settle()
    return line


def roster(processes, process, room="den"):
    return {user.username for user in processes.runtimes[process].hub.rooms.users_in(room)}


def pass_lease(processes):
    for _ in range(int(LEASE / 2.5) + 2):
        processes.settle()


def test_joins_and_leaves_that_were_lost_are_made_up_for(processes):
    ann, bob = join(processes, 0, "ann"), join(processes, 1, "bob")
    assert roster(processes, 0) == roster(processes, 1) == {"ann", "bob"}
    processes.bus.every = 1
    bob.close()
    cat = join(processes, 1, "ann")
    processes.settle()
    processes.bus.every = 0
    pass_lease(processes)
    assert roster(processes, 0) == {"ann"}
    for line in (ann, cat):
        line.close()


def test_a_room_whose_closing_was_lost_becomes_empty(processes):
    """The process that closed it no longer publishes its version."""
    ann, bob = join(processes, 0, "ann"), join(processes, 1, "bob")
    processes.bus.every = 1
    bob.close()
    processes.settle()
    assert processes.runtimes[1].hub.rooms.get("den") is None
    processes.bus.every = 0
    assert roster(processes, 0) == {"ann", "bob"}
    pass_lease(processes)
    assert roster(processes, 0) == {"ann"}
    ann.close()


def test_a_silent_peer_expires_within_the_lease(processes):
    ann, bob = join(processes, 0, "ann"), join(processes, 1, "bob")
    processes.bus.every = 1
    begun = processes.scheduler.clock.now
    while "bob" in roster(processes, 0):
        assert processes.scheduler.clock.now - begun <= LEASE
        with processes._scheduled():
            processes.scheduler.run(0.25)
    assert processes.scheduler.clock.now - begun > LEASE / 3
    processes.bus.every = 0
    processes.settle()
    assert roster(processes, 0) == {"ann", "bob"}, "it was never dead"
    for line in (ann, bob):
        line.close()


def test_a_process_that_is_cut_off_keeps_its_peers(processes):
    ann, bob = join(processes, 0, "ann"), join(processes, 1, "bob")
    processes.bus.partitioned.add(processes.runtimes[0].broker)
    for _ in range(4):
        processes.settle()
        assert roster(processes, 0) == {"ann", "bob"}
    assert roster(processes, 1) == {"bob"}
    processes.bus.partitioned.clear()
    processes.settle()
    assert roster(processes, 0) == roster(processes, 1) == {"ann", "bob"}
    for line in (ann, bob):
        line.close()


def test_the_roster_of_a_room_that_is_not_open_here_is_fetched(processes):
    bob = join(processes, 1, "bob")
    found = []
    processes.spawn(lambda: found.append(processes.runtimes[0].roster("den")))
    processes.settle()
    assert found == [[identity("bob")]]
    bob.close()
