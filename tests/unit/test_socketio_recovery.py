"""Connection state recovery in memory: which packets are kept, for which clients, and for how long."""

import pytest

from chat.socketio import offsets, packets, recovery
from chat.socketio.packets import EVENT
from chat.socketio.recovery import Recovery, Saved, Subscriptions
from tests.server_frames import frames as unframe

ROOM, OTHER = ("room", "a"), ("room", "b")


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def expired():
    return []


@pytest.fixture
def memory(clock, expired):
    return Recovery(120, clock, expired.append)


def record(memory, text, scopes=(ROOM,), namespace="/", stored=None):
    """Record a packet and return the offset that its receivers get."""
    frames = memory.record(namespace, scopes, None, EVENT, packets.prepare([text]), b"", stored)
    return unframe(frames)[0][1].rsplit(b'"', 2)[1].decode()


def saved(memory, pid="pid", **fields):
    state = Saved(
        id="id",
        namespace="/",
        rooms={"a": 0},
        data={"n": 1},
        user_id=None,
        scopes={ROOM: 0},
        sids=frozenset(),
        position=memory.position,
    )
    memory.save(pid, state._replace(**fields))


def resume(memory, offset, pid="pid", namespace="/", user_id=None):
    """The state, with the `position` of its client; None where a packet would be missing."""
    state = memory.take(pid, namespace, user_id)
    position = state and memory.position_of(state, offset and offsets.read(offset))
    return state._replace(position=position) if position is not None and memory.covers(position) else None


def missed_texts(memory, state, known=()):
    return [unframe(frames)[0][1].split(b'"')[1].decode() for frames in memory.missed(state, known)]


def test_missed_packets_come_once_and_in_order(memory):
    offset = record(memory, "first")
    saved(memory)
    record(memory, "second")
    record(memory, "elsewhere", (OTHER,))
    record(memory, "other namespace", (ROOM,), "/x")
    record(memory, "third", (OTHER, ROOM))
    state = resume(memory, offset)
    assert missed_texts(memory, state) == ["second", "third"]
    assert state.data == {"n": 1}
    assert resume(memory, offset) is None


def test_a_client_without_an_offset_resumes_after_its_connect(memory):
    record(memory, "before")
    saved(memory)
    record(memory, "after")
    assert missed_texts(memory, resume(memory, None)) == ["after"]


def test_a_client_that_missed_nothing_is_recovered(memory):
    offset = record(memory, "first")
    saved(memory)
    assert missed_texts(memory, resume(memory, offset)) == []


def test_packets_from_before_its_connect_are_not_missed(memory):
    offset = record(memory, "received on an earlier connection")
    record(memory, "between the two")
    saved(memory)
    record(memory, "missed")
    assert missed_texts(memory, resume(memory, offset)) == ["missed"]


def test_packets_from_before_it_joined_the_room_are_not_missed(memory):
    offset = record(memory, "received", (OTHER,))
    record(memory, "early")
    saved(memory, scopes={OTHER: 0, ROOM: memory.position}, position=0)
    record(memory, "missed")
    assert missed_texts(memory, resume(memory, offset)) == ["missed"]


def test_messages_that_it_gets_otherwise_are_not_missed(memory):
    saved(
        memory, subscriptions=Subscriptions({"a": 3}, {"dm:x:y": 2}), scopes={ROOM: 0, OTHER: 0}, position=0
    )
    for seq in range(1, 6):
        record(memory, f"room {seq}", stored=("a", seq))
        record(memory, f"direct {seq}", (OTHER,), stored=("dm:x:y", seq))
    state = resume(memory, None)
    assert missed_texts(memory, state, known={("a", 4), ("dm:x:y", 5)}) == [
        *("direct 2", "room 3", "direct 3", "direct 4"),
        "room 5",
    ]


@pytest.mark.parametrize("offset", ["0.0", "zz-1", "1", None])
def test_an_unknown_pid_or_offset_recovers_nothing(memory, offset):
    record(memory, "first")
    saved(memory)
    assert resume(memory, offset, "other") is None
    if offset and offsets.read(offset):
        assert resume(memory, offset) is None


def test_an_offset_beyond_the_newest_packet_recovers_nothing(memory):
    offset = record(memory, "first")
    saved(memory)
    assert resume(memory, f"{offset}0") is None


def test_an_offset_of_another_process_recovers_nothing(memory, clock):
    offset = record(Recovery(120, clock), "first")
    record(memory, "first")
    saved(memory)
    assert resume(memory, offset) is None


@pytest.mark.parametrize("other", [{"namespace": "/x"}, {"user_id": "another"}])
def test_a_session_belongs_to_its_namespace_and_user(memory, other):
    offset = record(memory, "first")
    saved(memory)
    assert resume(memory, offset, **other) is None
    assert resume(memory, offset) is not None


def test_a_session_is_kept_for_its_time(memory, clock, expired):
    offset = record(memory, "first")
    saved(memory)
    clock.now += 119
    assert resume(memory, offset) is not None
    saved(memory)
    clock.now += 121
    assert resume(memory, offset) is None
    assert [state.id for state in expired] == ["id"]


def test_a_gap_prevents_recovery(memory, clock):
    offset = record(memory, "first")
    saved(memory)
    clock.now += 60
    record(memory, "second")
    clock.now += 59
    record(memory, "third")
    assert missed_texts(memory, resume(memory, offset)) == ["second", "third"]
    saved(memory, position=1)
    clock.now += 100
    assert resume(memory, offset) is None  # "second" is no longer kept


def test_packets_are_bounded_in_bytes(memory, monkeypatch):
    monkeypatch.setattr(recovery, "KEPT_BYTES", 1_000)
    offset = record(memory, "first")
    saved(memory)
    for _ in range(20):
        record(memory, "x" * 100)
    assert resume(memory, offset) is None


def test_sessions_are_bounded(memory, monkeypatch, expired):
    monkeypatch.setattr(recovery, "KEPT_SESSIONS", 1)
    saved(memory, id="first")
    saved(memory, "another")
    assert resume(memory, None) is None
    assert resume(memory, None, "another") is not None
    assert [state.id for state in expired] == ["first"]


def test_packets_are_kept_while_a_client_is_connected_or_may_resume(memory, clock):
    assert not memory.keeps
    memory.connections = 1
    assert memory.keeps
    memory.connections = 0
    saved(memory)
    assert memory.keeps
    clock.now += 121
    memory.expire()
    assert not memory.keeps


def test_without_recovery_packets_have_no_offset(clock):
    memory = Recovery(0, clock)
    frames = memory.record("/", (ROOM,), None, EVENT, packets.prepare(["x"]))
    assert unframe(frames) == [(1, b'42["x"]')]
    assert memory.offset(b"") is None
    assert memory.position == 0


def test_the_first_message_of_each_room_after_a_packet_is_known(memory):
    record(memory, "old", stored=("a", 6))
    number = offsets.read(record(memory, "received", stored=("b", 1))).number
    for room, seq in (("a", 7), ("b", 2), ("a", 8)):
        record(memory, "later", stored=(room, seq))
    record(memory, "stored nowhere")
    assert memory.first_seqs_after(number) == {"a": 7, "b": 2}
    assert memory.first_seqs_after(memory.position) == {}
    assert memory.first_seqs_after(0) == {"a": 6, "b": 1}


def test_a_saved_state_can_be_read_while_it_may_be_resumed(memory, clock):
    saved(memory, user_id="ann")
    assert memory.saved("pid").user_id == "ann"
    assert memory.saved("pid") is not None
    assert memory.saved("other") is None
    clock.now += 121
    assert memory.saved("pid") is None
