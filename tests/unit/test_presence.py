"""What is known of peers: each delta follows the one before it, and a lost one is noticed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.cluster.presence import Presence
from chat.wire.envelope import Identity

ANN, BOB, CAT = Identity("1", "ann"), Identity("2", "bob"), Identity("3", "Cat")
ANNIE = Identity("1", "annie")
HOME = "127.0.0.1"
#: Two peers.
EAST, WEST = 1, 2


@pytest.fixture
def presence():
    return Presence()


@pytest.fixture
def east(presence):
    """A peer without users, whose counts are known up to version 1."""
    return add_peer(presence, EAST)


@pytest.fixture
def west(presence):
    return add_peer(presence, WEST)


def add_peer(presence, origin):
    peer = presence.renew_lease(origin, 0.0)
    presence.apply_count_snapshot(peer, 1, [], {})
    return peer


# -- leases


def test_a_peer_is_known_from_its_first_message_on(presence):
    peer = presence.renew_lease(EAST, 1.0)
    assert presence.renew_lease(EAST, 2.0) is peer
    assert (EAST in presence, WEST in presence, len(presence)) == (True, False, 1)


def test_a_silent_peer_is_found(presence):
    presence.renew_lease(EAST, 1.0)
    presence.renew_lease(WEST, 5.0)
    assert presence.not_seen_since(5.0) == [EAST]
    presence.renew_lease(EAST, 6.0)
    assert presence.not_seen_since(5.0) == []


def test_all_leases_are_renewed_together(presence):
    presence.renew_lease(EAST, 1.0)
    presence.renew_lease(WEST, 2.0)
    presence.renew_all_leases(10.0)
    assert presence.not_seen_since(10.0) == []
    assert presence.not_seen_since(10.1) == [EAST, WEST]


def test_a_removed_peer_takes_its_users_rooms_and_addresses_with_it(presence, east):
    presence.apply_count_delta(east, 1, 2, [(ANN, 2)], {HOME: 2})
    presence.apply_roster_delta(east, "lobby", 0, 1, [ANN, BOB], [])
    presence.apply_roster_delta(east, "den", 0, 1, [ANN], [])
    assert presence.remove(EAST) == {"lobby": ["1", "2"], "den": ["1"]}
    assert (presence.sockets_of("1"), presence.sockets_from(HOME), presence.named("ann")) == (0, 0, [])
    assert EAST not in presence
    assert presence.remove(EAST) == {}


def test_removing_one_peer_keeps_what_is_known_of_another(presence, east, west):
    for peer in (east, west):
        presence.apply_count_delta(peer, 1, 2, [(ANN, 2)], {HOME: 2})
    presence.remove(EAST)
    assert (presence.sockets_of("1"), presence.sockets_from(HOME), presence.named("ann")) == (2, 2, [ANN])


# -- counts


def test_a_count_replaces_the_one_before(presence, east):
    assert presence.apply_count_delta(east, 1, 2, [(ANN, 1), (BOB, 1)], {HOME: 2})
    assert presence.apply_count_delta(east, 2, 5, [(ANN, 3)], {HOME: 4})
    assert (presence.sockets_of("1"), presence.sockets_of("2"), presence.sockets_from(HOME)) == (3, 1, 4)
    assert presence.apply_count_delta(east, 5, 6, [(ANN, 0)], {HOME: 1})
    assert (presence.sockets_of("1"), presence.sockets_from(HOME)) == (0, 1)


def test_counts_of_two_peers_are_added_up(presence, east, west):
    presence.apply_count_delta(east, 1, 2, [(ANN, 2)], {HOME: 2})
    presence.apply_count_delta(west, 1, 2, [(ANN, 3)], {HOME: 3})
    assert (presence.sockets_of("1"), presence.sockets_from(HOME)) == (5, 5)
    presence.apply_count_delta(east, 2, 3, [(ANN, 0)], {HOME: 0})
    assert (presence.sockets_of("1"), presence.sockets_from(HOME), presence.named("ann")) == (3, 3, [ANN])


@pytest.mark.parametrize("before", [0, 2, 7])
def test_a_count_delta_without_its_predecessor_changes_nothing(presence, east, before):
    assert not presence.apply_count_delta(east, before, 9, [(ANN, 1)], {HOME: 1})
    assert (east.version, presence.sockets_of("1"), presence.sockets_from(HOME)) == (1, 0, 0)


def test_a_new_peer_needs_a_count_snapshot_first(presence):
    assert not presence.apply_count_delta(presence.renew_lease(EAST, 0.0), 0, 1, [(ANN, 1)], {})


def test_a_count_snapshot_replaces_all_counts_of_a_peer(presence, east, west):
    presence.apply_count_delta(east, 1, 2, [(ANN, 2), (BOB, 1)], {HOME: 3})
    presence.apply_count_delta(west, 1, 2, [(ANN, 1)], {HOME: 1})
    presence.apply_count_snapshot(east, 9, [(BOB, 2), (CAT, 1)], {"::1": 3})
    assert [presence.sockets_of(user.id) for user in (ANN, BOB, CAT)] == [1, 2, 1]
    assert (presence.sockets_from(HOME), presence.sockets_from("::1")) == (1, 3)
    assert presence.apply_count_delta(east, 9, 10, [(BOB, 0)], {})


# -- names


def test_a_connected_user_is_found_by_name_in_any_case(presence, east):
    presence.apply_count_delta(east, 1, 2, [(CAT, 1)], {})
    assert presence.named("cAT") == [CAT]
    presence.apply_count_delta(east, 2, 3, [(CAT, 0)], {})
    assert presence.named("cat") == []


def test_a_new_name_replaces_the_old_one(presence, east):
    presence.apply_count_delta(east, 1, 2, [(ANN, 1)], {})
    presence.apply_count_delta(east, 2, 3, [(ANNIE, 1)], {})
    assert (presence.named("ann"), presence.named("annie")) == ([], [ANNIE])
    presence.remove(EAST)
    assert presence.named("annie") == []


def test_a_name_that_passed_to_another_user_stays_when_the_first_disconnects(presence, east, west):
    presence.apply_count_delta(east, 1, 2, [(ANN, 1)], {})
    presence.apply_count_delta(west, 1, 2, [(Identity("9", "ann"), 1)], {})
    presence.apply_count_delta(east, 2, 3, [(ANN, 0)], {})
    assert presence.named("ann") == [Identity("9", "ann")]


# -- rosters


def test_roster_deltas_follow_each_other(presence, east):
    assert presence.apply_roster_delta(east, "den", 0, 3, [ANN, BOB], []) == ([ANN, BOB], [], [])
    assert presence.apply_roster_delta(east, "den", 3, 4, [CAT], ["1"]) == ([CAT], ["1"], [])
    assert presence.room_version(east, "den") == 4


def test_a_roster_delta_without_its_predecessor_changes_nothing(presence, east):
    presence.apply_roster_delta(east, "den", 0, 3, [ANN], [])
    assert presence.apply_roster_delta(east, "den", 4, 5, [BOB], ["1"]) is None
    assert presence.room_version(east, "den") == 3
    assert presence.apply_roster_delta(east, "den", 3, 4, [], ["1"]) == ([], ["1"], [])


def test_a_room_starts_with_version_0(presence, east):
    assert presence.room_version(east, "den") == 0
    assert presence.apply_roster_delta(east, "den", 2, 3, [ANN], []) is None


def test_a_delta_reports_only_what_it_changes(presence, east):
    presence.apply_roster_delta(east, "den", 0, 1, [ANN], [])
    assert presence.apply_roster_delta(east, "den", 1, 2, [ANN], ["2"]) == ([], [], [])


def test_a_new_name_is_reported(presence, east):
    presence.apply_roster_delta(east, "den", 0, 1, [ANN], [])
    assert presence.apply_roster_delta(east, "den", 1, 2, [ANNIE], []) == ([], [], [ANNIE])
    assert presence.apply_roster_snapshot(east, "den", 3, [ANN]) == ([], [], [ANN])
    assert presence.apply_roster_snapshot(east, "den", 4, [ANN]) == ([], [], [])


def test_a_roster_snapshot_replaces_what_was_known(presence, east):
    presence.apply_roster_delta(east, "den", 0, 1, [ANN, BOB], [])
    assert presence.apply_roster_snapshot(east, "den", 8, [BOB, CAT]) == ([CAT], ["1"], [])
    assert presence.apply_roster_delta(east, "den", 8, 9, [], ["2"]) == ([], ["2"], [])


def test_rooms_and_peers_are_independent(presence, east, west):
    presence.apply_roster_delta(east, "den", 0, 1, [ANN], [])
    assert presence.apply_roster_delta(east, "lobby", 0, 1, [ANN], []) == ([ANN], [], [])
    assert presence.apply_roster_delta(west, "den", 0, 1, [ANN], []) == ([ANN], [], [])


def test_a_room_that_this_process_has_closed_is_forgotten(presence, east):
    presence.apply_roster_delta(east, "den", 0, 1, [ANN], [])
    presence.forget_room("den")
    assert presence.room_version(east, "den") == 0
    assert presence.remove(EAST) == {}


CHANGES = st.lists(
    st.tuples(st.sampled_from([ANN, ANNIE, BOB, CAT]), st.booleans(), st.booleans()), max_size=30
)


@given(CHANGES)
def test_snapshots_repair_whatever_deltas_are_lost(changes):
    """A peer's roster after each delta that arrives, and after a final comparison of versions, is the peer's own."""
    presence, users, version = Presence(), {}, 0
    peer = add_peer(presence, EAST)
    roster = {}

    def apply(delta):
        roster.update((user.id, user) for user in (*delta.joined, *delta.renamed))
        for user_id in delta.left:
            del roster[user_id]

    for user, joins, is_lost in changes:
        before, version = version, version + 1
        if joins:
            users[user.id] = user
        else:
            users.pop(user.id, None)
        if is_lost:
            continue
        joined, left = ([user], []) if joins else ([], [user.id])
        delta = presence.apply_roster_delta(peer, "den", before, version, joined, left)
        apply(delta or presence.apply_roster_snapshot(peer, "den", version, users.values()))
        assert roster == users
    if presence.room_version(peer, "den") != version:
        apply(presence.apply_roster_snapshot(peer, "den", version, users.values()))
    assert roster == users
