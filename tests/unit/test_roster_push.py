"""RosterPush: which members get a push, when, and at what cost, on a clock that the test advances."""

import threading

import pytest

from chat.loop.stats import Stats
from chat.rooms.room import Room
from chat.rooms.roster import Roster
from chat.rooms.roster_push import RosterPush
from chat.wire.codec import NATIVE
from chat.wire.envelope import Identity

BUDGET = 100_000


class Clock:
    """The timers of a reactor, advanced by the test."""

    def __init__(self):
        self.now = 100.0
        self.timers = []

    def call_later(self, delay, function, *args):
        self.timers.append((self.now + delay, function, args))

    def run_until(self, end):
        while due := [timer for timer in self.timers if timer[0] <= end]:
            timer = min(due, key=lambda one: one[0])
            self.timers.remove(timer)
            self.now = max(self.now, timer[0])
            timer[1](*timer[2])
        self.now = end


class Member:
    """A client that keeps what it is sent."""

    codec = NATIVE

    def __init__(self, clock, diff=False):
        self.diff, self.closing = diff, 0.0
        self.got = []
        self.out = self.wire = self
        self._clock = clock

    def send(self, data):
        self.got.append((self._clock.now, data))
        return len(data)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def room():
    return Room("lobby", Roster("lobby", 3.0, BUDGET), None, lambda room: None)


@pytest.fixture
def push(clock, room):
    return RosterPush(room, clock, threading.Lock(), BUDGET, Stats())


def join(room, push, member, name):
    room.add(member)
    room.roster.join(Identity(name, name))
    room.note_roster_sent(member)
    push.schedule()


def test_a_change_in_a_quiet_room_is_pushed_at_once_to_all_but_the_joining_client(clock, room, push):
    first, second = Member(clock), Member(clock)
    join(room, push, first, "ann")
    clock.run_until(101)
    join(room, push, second, "bob")
    clock.run_until(101)
    assert [at for at, _ in first.got] == [101]
    assert b"bob" in first.got[0][1]
    assert second.got == []


def test_diff_members_get_diffs_and_others_lists(clock, room, push):
    whole, diff = Member(clock), Member(clock, diff=True)
    join(room, push, whole, "ann")
    join(room, push, diff, "bob")
    clock.run_until(101)
    join(room, push, Member(clock), "cyd")
    clock.run_until(102)
    assert b'"type":1' in whole.got[-1][1]
    assert b'"type":5' in diff.got[-1][1]
    assert b"cyd" in diff.got[-1][1]


def test_lists_to_many_members_never_exceed_the_budget(clock, room, push):
    members = [Member(clock) for _ in range(300)]
    for number, member in enumerate(members):
        join(room, push, member, f"user{number:03}")
    clock.run_until(clock.now + 120)
    sent = sorted((at, len(data)) for member in members for at, data in member.got)
    assert sent, "nothing was pushed"
    for start in range(100, 220):
        spent = sum(size for at, size in sent if start <= at < start + 1)
        assert spent <= 1.2 * BUDGET + len(room.roster.list_for().frame())


def test_in_the_end_all_members_have_the_newest_list(clock, room, push):
    members = [Member(clock) for _ in range(120)]
    for number, member in enumerate(members):
        join(room, push, member, f"user{number:03}")
        clock.run_until(clock.now + 0.01)
    gone = members.pop()
    room.remove(gone)
    room.roster.leave(Identity("user119", "user119"), clock.now)
    push.schedule()
    clock.run_until(clock.now + 600)
    newest = room.roster.list_for().frame()
    assert b"user119" not in newest
    assert all(member.got[-1][1] == newest for member in members)


def test_a_member_that_closes_while_it_waits_for_its_slice_is_left_out(clock, room, push):
    members = [Member(clock) for _ in range(300)]
    for number, member in enumerate(members):
        join(room, push, member, f"user{number:03}")
    clock.run_until(clock.now)
    waiting = [member for member in members if not room.has_current_roster(member)]
    assert waiting
    waiting[-1].closing = clock.now
    seen = len(waiting[-1].got)
    clock.run_until(clock.now + 120)
    assert len(waiting[-1].got) == seen


def test_a_room_is_reported_empty_when_the_last_grace_is_over(clock, room):
    emptied = []
    push = RosterPush(room, clock, threading.Lock(), BUDGET, Stats(), emptied.append)
    member = Member(clock)
    join(room, push, member, "ann")
    clock.run_until(101)
    room.remove(member)
    room.roster.leave(Identity("ann", "ann"), clock.now)
    push.schedule()
    clock.run_until(103)
    assert emptied == []
    clock.run_until(105)
    assert emptied == [room]
