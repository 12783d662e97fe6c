"""The roster of a room: users, not connections; gathered changes; their budget."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat.rooms.roster import MIN_INTERVAL, Roster
from chat.wire.envelope import Identity
from tests.server_frames import message

ANN, BOB, CAT = Identity("1", "ann"), Identity("2", "bob"), Identity("3", "cat")
GRACE = 3.0


@pytest.fixture
def roster():
    return Roster("lobby", GRACE, bytes_per_s=1_000)


def listed(roster):
    """Return the names in the list that a joining client would be sent now."""
    return [user["username"] for user in json.loads(message(roster.list_for().frame())["data"])]


def names(roster):
    return [user.username for user in roster]


# -- which users are in it


def test_three_sockets_of_a_user_are_one_entry(roster):
    for _ in range(3):
        roster.join(ANN)
    assert (list(roster), len(roster), "1" in roster) == ([ANN], 1, True)
    assert listed(roster) == ["ann"]


def test_a_user_stays_while_one_socket_is_left(roster):
    roster.join(ANN)
    roster.join(ANN)
    roster.leave(ANN, now=0)
    roster.expire(now=1_000)
    assert names(roster) == ["ann"]


def test_the_last_socket_begins_a_grace(roster):
    roster.join(ANN)
    roster.leave(ANN, now=10)
    roster.expire(now=10 + GRACE - 0.01)
    assert names(roster) == ["ann"]
    roster.expire(now=10 + GRACE)
    assert names(roster) == []


def test_a_user_who_reconnects_within_the_grace_has_not_left(roster):
    roster.join(ANN)
    roster.take_change(0)
    roster.leave(ANN, now=10)
    roster.join(ANN)
    roster.expire(now=1_000)
    assert names(roster) == ["ann"]
    assert roster.take_change(1_000) is None


def test_each_leaving_has_a_grace_of_its_own(roster):
    for user in (ANN, BOB):
        roster.join(user)
    roster.leave(ANN, now=0)
    roster.join(ANN)
    roster.leave(BOB, now=1)
    roster.leave(ANN, now=2)
    roster.expire(now=1 + GRACE)
    assert names(roster) == ["ann"]
    roster.expire(now=2 + GRACE)
    assert names(roster) == []


def test_a_user_who_never_joined_does_not_leave(roster):
    roster.leave(ANN, now=0)
    roster.expire(now=1_000)
    assert roster.due_at() is None


# -- changes


def test_a_push_contains_the_changes_since_the_last_one(roster):
    for user in (ANN, BOB):
        roster.join(user)
    assert roster.take_change(0) == ([ANN, BOB], [])
    roster.join(CAT)
    roster.leave(ANN, now=1)
    roster.expire(now=1 + GRACE)
    assert roster.take_change(10) == ([CAT], ["ann"])
    assert roster.take_change(20) is None
    assert listed(roster) == ["bob", "cat"]


def test_a_user_who_joined_and_left_between_two_pushes_is_pushed_as_left(roster):
    # The list that a joining client was sent may have contained the user.
    roster.join(ANN)
    roster.leave(ANN, now=0)
    roster.expire(now=GRACE)
    assert roster.take_change(10) == ([], ["ann"])
    assert listed(roster) == []


def test_a_user_who_left_and_joined_between_two_pushes_is_listed_once(roster):
    for user in (ANN, BOB):
        roster.join(user)
    roster.take_change(0)
    roster.leave(ANN, now=0)
    roster.expire(now=GRACE)
    roster.join(ANN)
    assert sorted(listed(roster)) == ["ann", "bob"]
    assert roster.take_change(10) == ([ANN], [])
    assert sorted(listed(roster)) == ["ann", "bob"]


def test_a_new_name_replaces_the_entry_of_the_old_one(roster):
    roster.join(ANN)
    roster.take_change(0)
    roster.leave(ANN, now=0)
    renamed = Identity("1", "anna")
    roster.join(renamed)
    roster.leave(renamed, now=1)
    roster.join(Identity("1", "anne"))
    change = roster.take_change(10)
    assert (change.joined, set(change.left)) == ([Identity("1", "anne")], {"ann", "anna"})
    assert listed(roster) == ["anne"]


def test_a_joining_clients_list_contains_users_not_pushed_yet(roster):
    roster.join(ANN)
    roster.take_change(0)
    roster.join(BOB)
    assert listed(roster) == ["ann", "bob"]


# -- the budget


def test_nothing_is_due_while_nothing_changes(roster):
    assert roster.due_at() is None
    roster.join(ANN)
    assert roster.due_at() == 0
    roster.take_change(0)
    assert roster.due_at() is None


def test_pushes_are_at_least_a_tenth_of_a_second_apart(roster):
    roster.join(ANN)
    roster.take_change(50)
    roster.charge(1, now=50)
    roster.join(BOB)
    assert roster.due_at() == 50 + MIN_INTERVAL
    assert roster.take_change(50 + MIN_INTERVAL - 0.001) is None
    assert roster.take_change(50 + MIN_INTERVAL) == ([BOB], [])


def test_an_expensive_push_delays_the_next_one(roster):
    roster.join(ANN)
    roster.take_change(50)
    roster.charge(5_000, now=50)  # at 1,000 bytes a second
    roster.join(BOB)
    assert roster.due_at() == 55
    assert roster.take_change(54.9) is None
    assert roster.take_change(55) == ([BOB], [])


def test_waiting_changes_are_pushed_together(roster):
    roster.join(ANN)
    roster.take_change(0)
    roster.charge(10_000, now=0)
    for user in (BOB, CAT):
        roster.join(user)
    roster.leave(ANN, now=1)
    roster.expire(now=1 + GRACE)
    assert roster.take_change(10) == ([BOB, CAT], ["ann"])


def test_the_end_of_a_grace_is_due_too(roster):
    roster.join(ANN)
    roster.take_change(0)
    roster.leave(ANN, now=7)
    assert roster.due_at() == 7 + GRACE


# -- any sequence of events

PEOPLE = [Identity(str(i), f"user{i}") for i in range(4)]
STEPS = st.one_of(
    st.tuples(st.just("join"), st.sampled_from(PEOPLE)),
    st.tuples(st.just("leave"), st.sampled_from(PEOPLE)),
    st.tuples(st.just("wait"), st.floats(0, 2 * GRACE)),
    st.tuples(st.sampled_from(["list viewer", "diff viewer"]), st.none()),
)


class Viewer:
    """A client that keeps the roster up to date: from one list at first, then from what is pushed."""

    def __init__(self, roster, diff):
        self.diff = diff
        self.version = roster.list_for().version
        self.read_list(roster)

    def read_list(self, roster):
        users = json.loads(message(roster.list_for().frame())["data"])
        self.seen = {user["username"] for user in users}
        assert len(self.seen) == len(users), "an entry stands there twice"

    def receive(self, roster, change):
        if self.version == roster.list_for().version:
            return  # as the hub: who was sent this very list needs no push
        if self.diff:
            self.seen -= set(change.left)
            self.seen |= {user.username for user in change.joined}
        else:
            self.read_list(roster)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, max_size=40))
def test_lists_and_diffs_give_every_client_the_same_roster(steps):
    roster, now = Roster("lobby", GRACE, bytes_per_s=1_000), 0.0
    viewers = [Viewer(roster, diff) for diff in (False, True)]
    for what, value in [*steps, ("wait", GRACE + MIN_INTERVAL), ("wait", 60.0), ("wait", 60.0)]:
        if what == "join":
            roster.join(value)
        elif what == "leave":
            roster.leave(value, now)
        elif what == "wait":
            now += value
            turn(roster, viewers, now)
        else:
            viewers.append(Viewer(roster, what == "diff viewer"))
    expected = set(names(roster))
    assert [viewer.seen for viewer in viewers] == [expected] * len(viewers)
    assert roster.due_at() is None


def turn(roster, viewers, now):
    roster.expire(now)
    change = roster.take_change(now)
    if change is not None:
        for viewer in viewers:
            viewer.receive(roster, change)
        roster.charge(len(roster.list_for().frame()) * len(viewers), now)
