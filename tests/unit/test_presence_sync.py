"""Rosters of two processes that miss what the other tells: sooner or later they are right again."""

import pytest

from tests.house import House, LossyBus, identity, quick_settings

LEASE = 12.0


@pytest.fixture
def house():
    house = House(2, quick_settings(worker_lease=LEASE), ["ann", "bob"], LossyBus())
    house.store.ensure_room("lobby")
    house.store.create_room("den", "public", None)
    yield house
    house.end()


def join(house, process, name, room="den"):
    line = house.connect(process, name)
    line.send({"type": 6, "room": room})
    house.settle()
    return line


def roster(house, process, room="den"):
    return {user.username for user in house.processes[process].hub.rooms.users_in(room)}


def pass_lease(house):
    for _ in range(int(LEASE / 2.5) + 2):
        house.settle()


def test_who_came_and_went_while_nothing_went_through_is_known_later(house):
    ann, bob = join(house, 0, "ann"), join(house, 1, "bob")
    assert roster(house, 0) == roster(house, 1) == {"ann", "bob"}
    house.bus.every = 1
    bob.cut()
    cat = join(house, 1, "ann")
    house.settle()
    house.bus.every = 0
    pass_lease(house)
    assert roster(house, 0) == {"ann"}
    for line in (ann, cat):
        line.cut()


def test_a_room_that_was_closed_unheard_is_empty_later(house):
    """The process that closed it has nothing to tell of it any more."""
    ann, bob = join(house, 0, "ann"), join(house, 1, "bob")
    house.bus.every = 1
    bob.cut()
    house.settle()
    assert house.processes[1].hub.rooms.get("den") is None
    house.bus.every = 0
    assert roster(house, 0) == {"ann", "bob"}
    pass_lease(house)
    assert roster(house, 0) == {"ann"}
    ann.cut()


def test_a_process_that_is_silent_is_empty_within_the_lease(house):
    ann, bob = join(house, 0, "ann"), join(house, 1, "bob")
    house.bus.every = 1
    begun = house.turns.clock.now
    while "bob" in roster(house, 0):
        assert house.turns.clock.now - begun <= LEASE
        with house._in_turns():
            house.turns.run(0.25)
    assert house.turns.clock.now - begun > LEASE / 3
    house.bus.every = 0
    house.settle()
    assert roster(house, 0) == {"ann", "bob"}, "it was never dead"
    for line in (ann, bob):
        line.cut()


def test_the_living_are_never_gone_for_one_who_is_cut_off_himself(house):
    ann, bob = join(house, 0, "ann"), join(house, 1, "bob")
    house.bus.cut.add(house.processes[0].broker)
    for _ in range(4):
        house.settle()
        assert roster(house, 0) == {"ann", "bob"}
    assert roster(house, 1) == {"bob"}
    house.bus.cut.clear()
    house.settle()
    assert roster(house, 0) == roster(house, 1) == {"ann", "bob"}
    for line in (ann, bob):
        line.cut()


def test_who_asks_hears_who_is_in_a_room_that_is_not_open_here(house):
    bob = join(house, 1, "bob")
    found = []
    house.begin(lambda: found.append(house.processes[0].roster("den")))
    house.settle()
    assert found == [[identity("bob")]]
    bob.cut()
