"""Connection state recovery in memory: what is kept, for whom, and for how long."""

import pytest

from chat.socketio import packets, recovery
from chat.socketio.packets import EVENT
from chat.socketio.recovery import MemoryRecovery, Saved
from tests.unframed import frames as unframe

ROOM, OTHER = ("room", "a"), ("room", "b")


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def memory(clock):
    return MemoryRecovery(120, clock)


def say(memory, text, scopes=(ROOM,), namespace="/"):
    """Say `text` and return the offset that its hearers are told."""
    frames = memory.note(namespace, scopes, None, EVENT, packets.prepare([text]))
    return unframe(frames)[0][1].rsplit(b'"', 2)[1].decode()


def saved(memory, scopes=(ROOM,), namespace="/", position=None, user_id=None):
    position = memory.position if position is None else position
    state = Saved(
        "id", namespace, frozenset({"a"}), {"n": 1}, user_id, frozenset(scopes), frozenset(), position, 0.0
    )
    memory.save("pid", state)


def heard(memory, state):
    return [unframe(frames)[0][1].split(b'"')[1].decode() for frames in memory.missed(state)]


def test_what_was_missed_comes_once_and_in_order(memory):
    offset = say(memory, "first")
    saved(memory)
    say(memory, "second")
    say(memory, "elsewhere", (OTHER,))
    say(memory, "other namespace", (ROOM,), "/x")
    say(memory, "third", (OTHER, ROOM))
    state = memory.recall("pid", offset, "/")
    assert heard(memory, state) == ["second", "third"]
    assert state.data == {"n": 1}
    assert memory.recall("pid", offset, "/") is None


def test_who_heard_nothing_yet_is_known_by_the_place_where_it_came(memory):
    say(memory, "before")
    saved(memory)
    say(memory, "after")
    assert heard(memory, memory.recall("pid", None, "/")) == ["after"]


def test_nothing_missed_is_a_recovery_too(memory):
    offset = say(memory, "first")
    saved(memory)
    assert heard(memory, memory.recall("pid", offset, "/")) == []


@pytest.mark.parametrize("offset", ["", "nonsense", "zz-1", None])
def test_an_unknown_pid_or_offset_recovers_nothing(memory, offset):
    say(memory, "first")
    saved(memory)
    assert memory.recall("other", offset, "/") is None
    if offset is not None:
        assert memory.recall("pid", offset, "/") is None


def test_an_offset_of_another_process_recovers_nothing(memory, clock):
    offset = say(MemoryRecovery(120, clock), "first")
    say(memory, "first")
    saved(memory)
    assert memory.recall("pid", offset, "/") is None


def test_a_session_is_of_its_namespace(memory):
    offset = say(memory, "first")
    saved(memory)
    assert memory.recall("pid", offset, "/x") is None


def test_a_session_is_kept_for_its_time(memory, clock):
    offset = say(memory, "first")
    saved(memory)
    clock.now += 119
    assert memory.recall("pid", offset, "/") is not None
    saved(memory)
    clock.now += 121
    assert memory.recall("pid", offset, "/") is None


def test_a_hole_is_no_recovery(memory, clock):
    offset = say(memory, "first")
    saved(memory)
    clock.now += 60
    say(memory, "second")
    clock.now += 59
    say(memory, "third")
    assert heard(memory, memory.recall("pid", offset, "/")) == ["second", "third"]
    saved(memory)
    clock.now += 100
    assert memory.recall("pid", offset, "/") is None  # "second" is no longer kept


def test_packets_are_bounded_in_bytes(memory, monkeypatch):
    monkeypatch.setattr(recovery, "KEPT_BYTES", 1_000)
    offset = say(memory, "first")
    saved(memory)
    for _ in range(20):
        say(memory, "x" * 100)
    assert memory.recall("pid", offset, "/") is None


def test_sessions_are_bounded(memory, monkeypatch):
    monkeypatch.setattr(recovery, "KEPT_SESSIONS", 1)
    saved(memory)
    memory.save("another", Saved("id", "/", frozenset(), {}, None, frozenset(), frozenset(), 0, 0.0))
    assert memory.recall("pid", None, "/") is None
    assert memory.recall("another", None, "/") is not None


def test_nothing_is_kept_where_it_is_off(clock):
    memory = MemoryRecovery(0, clock)
    frames = memory.note("/", (ROOM,), None, EVENT, packets.prepare(["x"]))
    assert unframe(frames) == [(1, b'42["x"]')]
    saved(memory)
    assert memory.recall("pid", None, "/") is None
