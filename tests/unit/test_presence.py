"""What is known of other processes: each change follows on the one before, and one that was lost is noticed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.cluster.presence import Presence
from chat.wire.envelope import Identity

ANN, BOB, CAT = Identity("1", "ann"), Identity("2", "bob"), Identity("3", "Cat")
ANNIE = Identity("1", "annie")
HOME = "127.0.0.1"
#: Two other processes.
EAST, WEST = 1, 2


@pytest.fixture
def presence():
    return Presence()


@pytest.fixture
def east(presence):
    """A process whose counts are known up to change 1: nobody is there."""
    return met(presence, EAST)


@pytest.fixture
def west(presence):
    return met(presence, WEST)


def met(presence, origin):
    there = presence.renew_lease(origin, 0.0)
    presence.apply_count_snapshot(there, 1, [], {})
    return there


# -- processes


def test_a_process_is_there_once_it_was_heard(presence):
    there = presence.renew_lease(EAST, 1.0)
    assert presence.renew_lease(EAST, 2.0) is there
    assert (EAST in presence, WEST in presence, len(presence)) == (True, False, 1)


def test_who_is_silent_is_found(presence):
    presence.renew_lease(EAST, 1.0)
    presence.renew_lease(WEST, 5.0)
    assert presence.not_seen_since(5.0) == [EAST]
    presence.renew_lease(EAST, 6.0)
    assert presence.not_seen_since(5.0) == []


def test_a_reprieve_is_for_all(presence):
    presence.renew_lease(EAST, 1.0)
    presence.renew_lease(WEST, 2.0)
    presence.renew_all_leases(10.0)
    assert presence.not_seen_since(10.0) == []
    assert presence.not_seen_since(10.1) == [EAST, WEST]


def test_who_is_forgotten_takes_all_of_it_along(presence, east):
    presence.apply_count_delta(east, 1, 2, [(ANN, 2)], {HOME: 2})
    presence.apply_roster_delta(east, "lobby", 0, 1, [ANN, BOB], [])
    presence.apply_roster_delta(east, "den", 0, 1, [ANN], [])
    assert presence.remove(EAST) == {"lobby": ["1", "2"], "den": ["1"]}
    assert (presence.sockets_of("1"), presence.sockets_from(HOME), presence.find_user("ann")) == (0, 0, None)
    assert EAST not in presence
    assert presence.remove(EAST) == {}


def test_what_is_forgotten_of_one_stays_of_the_other(presence, east, west):
    for there in (east, west):
        presence.apply_count_delta(there, 1, 2, [(ANN, 2)], {HOME: 2})
    presence.remove(EAST)
    assert (presence.sockets_of("1"), presence.sockets_from(HOME), presence.find_user("ann")) == (2, 2, ANN)


# -- counts


def test_a_count_takes_the_place_of_the_one_before(presence, east):
    assert presence.apply_count_delta(east, 1, 2, [(ANN, 1), (BOB, 1)], {HOME: 2})
    assert presence.apply_count_delta(east, 2, 5, [(ANN, 3)], {HOME: 4})
    assert (presence.sockets_of("1"), presence.sockets_of("2"), presence.sockets_from(HOME)) == (3, 1, 4)
    assert presence.apply_count_delta(east, 5, 6, [(ANN, 0)], {HOME: 1})
    assert (presence.sockets_of("1"), presence.sockets_from(HOME)) == (0, 1)


def test_two_processes_with_the_same_user_are_added_up(presence, east, west):
    presence.apply_count_delta(east, 1, 2, [(ANN, 2)], {HOME: 2})
    presence.apply_count_delta(west, 1, 2, [(ANN, 3)], {HOME: 3})
    assert (presence.sockets_of("1"), presence.sockets_from(HOME)) == (5, 5)
    presence.apply_count_delta(east, 2, 3, [(ANN, 0)], {HOME: 0})
    assert (presence.sockets_of("1"), presence.sockets_from(HOME), presence.find_user("ann")) == (3, 3, ANN)


@pytest.mark.parametrize("before", [0, 2, 7])
def test_a_count_that_does_not_follow_is_noticed_and_changes_nothing(presence, east, before):
    assert not presence.apply_count_delta(east, before, 9, [(ANN, 1)], {HOME: 1})
    assert (east.version, presence.sockets_of("1"), presence.sockets_from(HOME)) == (1, 0, 0)


def test_of_a_process_that_is_new_all_has_to_be_asked_for(presence):
    assert not presence.apply_count_delta(presence.renew_lease(EAST, 0.0), 0, 1, [(ANN, 1)], {})


def test_a_recount_takes_the_place_of_all(presence, east, west):
    presence.apply_count_delta(east, 1, 2, [(ANN, 2), (BOB, 1)], {HOME: 3})
    presence.apply_count_delta(west, 1, 2, [(ANN, 1)], {HOME: 1})
    presence.apply_count_snapshot(east, 9, [(BOB, 2), (CAT, 1)], {"::1": 3})
    assert [presence.sockets_of(user.id) for user in (ANN, BOB, CAT)] == [1, 2, 1]
    assert (presence.sockets_from(HOME), presence.sockets_from("::1")) == (1, 3)
    assert presence.apply_count_delta(east, 9, 10, [(BOB, 0)], {})


# -- names


def test_a_name_is_found_in_any_case_while_somebody_bears_it(presence, east):
    presence.apply_count_delta(east, 1, 2, [(CAT, 1)], {})
    assert presence.find_user("cAT") == CAT
    presence.apply_count_delta(east, 2, 3, [(CAT, 0)], {})
    assert presence.find_user("cat") is None


def test_a_new_name_takes_the_place_of_the_old_one(presence, east):
    presence.apply_count_delta(east, 1, 2, [(ANN, 1)], {})
    presence.apply_count_delta(east, 2, 3, [(ANNIE, 1)], {})
    assert (presence.find_user("ann"), presence.find_user("annie")) == (None, ANNIE)
    presence.remove(EAST)
    assert presence.find_user("annie") is None


def test_a_name_that_somebody_else_bears_by_now_stays_when_its_first_bearer_goes(presence, east, west):
    presence.apply_count_delta(east, 1, 2, [(ANN, 1)], {})
    presence.apply_count_delta(west, 1, 2, [(Identity("9", "ann"), 1)], {})
    presence.apply_count_delta(east, 2, 3, [(ANN, 0)], {})
    assert presence.find_user("ann") == Identity("9", "ann")


# -- rooms


def test_moves_follow_on_each_other(presence, east):
    assert presence.apply_roster_delta(east, "den", 0, 3, [ANN, BOB], []) == ([ANN, BOB], [], [])
    assert presence.apply_roster_delta(east, "den", 3, 4, [CAT], ["1"]) == ([CAT], ["1"], [])
    assert presence.room_version(east, "den") == 4


def test_a_move_that_does_not_follow_is_noticed_and_changes_nothing(presence, east):
    presence.apply_roster_delta(east, "den", 0, 3, [ANN], [])
    assert presence.apply_roster_delta(east, "den", 4, 5, [BOB], ["1"]) is None
    assert presence.room_version(east, "den") == 3
    assert presence.apply_roster_delta(east, "den", 3, 4, [], ["1"]) == ([], ["1"], [])


def test_of_a_room_that_is_new_the_first_change_is_the_first(presence, east):
    assert presence.room_version(east, "den") == 0
    assert presence.apply_roster_delta(east, "den", 2, 3, [ANN], []) is None


def test_what_is_known_already_is_no_news(presence, east):
    presence.apply_roster_delta(east, "den", 0, 1, [ANN], [])
    assert presence.apply_roster_delta(east, "den", 1, 2, [ANN], ["2"]) == ([], [], [])


def test_a_new_name_is_news(presence, east):
    presence.apply_roster_delta(east, "den", 0, 1, [ANN], [])
    assert presence.apply_roster_delta(east, "den", 1, 2, [ANNIE], []) == ([], [], [ANNIE])
    assert presence.apply_roster_snapshot(east, "den", 3, [ANN]) == ([], [], [ANN])
    assert presence.apply_roster_snapshot(east, "den", 4, [ANN]) == ([], [], [])


def test_all_who_are_there_take_the_place_of_what_was_known(presence, east):
    presence.apply_roster_delta(east, "den", 0, 1, [ANN, BOB], [])
    assert presence.apply_roster_snapshot(east, "den", 8, [BOB, CAT]) == ([CAT], ["1"], [])
    assert presence.apply_roster_delta(east, "den", 8, 9, [], ["2"]) == ([], ["2"], [])


def test_rooms_are_apart_and_so_are_processes(presence, east, west):
    presence.apply_roster_delta(east, "den", 0, 1, [ANN], [])
    assert presence.apply_roster_delta(east, "lobby", 0, 1, [ANN], []) == ([ANN], [], [])
    assert presence.apply_roster_delta(west, "den", 0, 1, [ANN], []) == ([ANN], [], [])


def test_a_room_that_is_open_here_no_more_is_forgotten(presence, east):
    presence.apply_roster_delta(east, "den", 0, 1, [ANN], [])
    presence.forget_room("den")
    assert presence.room_version(east, "den") == 0
    assert presence.remove(EAST) == {}


CHANGES = st.lists(
    st.tuples(st.sampled_from([ANN, ANNIE, BOB, CAT]), st.booleans(), st.sampled_from(["told", "lost"])),
    max_size=30,
)


@given(CHANGES)
def test_whatever_is_lost_who_asks_where_a_change_is_missing_knows_in_the_end(changes):
    presence, users, version = Presence(), {}, 0
    there = met(presence, EAST)
    known = {}

    def take(moves):
        known.update((user.id, user) for user in (*moves.joined, *moves.renamed))
        for user_id in moves.left:
            del known[user_id]

    for user, comes, fate in changes:
        before, version = version, version + 1
        if comes:
            users[user.id] = user
        else:
            users.pop(user.id, None)
        if fate == "lost":
            continue
        moves = presence.apply_roster_delta(
            there, "den", before, version, [user] if comes else [], [] if comes else [user.id]
        )
        take(moves or presence.apply_roster_snapshot(there, "den", version, users.values()))
        assert known == users
    if presence.room_version(there, "den") != version:
        take(presence.apply_roster_snapshot(there, "den", version, users.values()))
    assert known == users
