"""What a Socket.IO client has missed is found by its position, after any sequence of deliveries."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat.socketio import offsets
from chat.socketio.offsets import RoomPosition
from chat.store.io_missed import NOTHING, IoMissed
from chat.store.io_values import Ambiguous, ClientPosition
from chat.store.sql import SqlHistory
from tests.contract.delivering_process import HERE, PEER, ROOMS, SENDERS, DeliveringProcess
from tests.contract.drafts import ADA, BOB, CY, direct
from tests.contract.threads import run

pytestmark = pytest.mark.contract
LIMIT = 25


@pytest.fixture
def history(engine):
    history = SqlHistory(engine, run)
    yield history
    history.close()


@pytest.fixture
def missed(engine):
    return IoMissed(engine, run)


def position_of(part):
    """The position in an offset, or None if it says nothing about the store."""
    position = offsets.read(offsets.write(HERE, 1, part).decode()).store
    return position and ClientPosition(*position)


places = st.lists(st.sampled_from([*ROOMS, *ROOMS, *SENDERS]), min_size=1, max_size=5)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), places),
        st.tuples(st.just("append"), places),
        st.tuples(st.just("append_at_peer"), places),
        st.tuples(st.just("receive_bus_message"), st.sampled_from([*ROOMS, *SENDERS])),
        st.tuples(st.just("check_store")),
        st.tuples(st.just("join"), st.sampled_from(ROOMS), st.integers(0, 4)),
    ),
    max_size=14,
)


@pytest.mark.slow
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps, stored_before=places, number=st.integers(0, 1000))
def test_everything_missed_is_found_or_nothing(history, missed, steps, stored_before, number):
    process = DeliveringProcess(history)
    process.store(stored_before, PEER)
    process.mark = history.changed(None)[0]
    for room in (*process.names.values(), *map(process.room_of, SENDERS)):
        row = history.room(room)
        process.last_seqs[room] = row.last_seq if row else 0
    before = {room: last for room, last in process.last_seqs.items() if room.startswith("dm:")}
    process.received = {(room, seq) for room, last in before.items() for seq in range(1, last + 1)}
    for step, *args in steps:
        getattr(process, step)(*args)
    if process.events:
        check(process, missed, process.events[number % len(process.events)])


def check(process, missed, event):
    position = position_of(event.part)
    if position is None:
        return
    expected, known = process.missed(event), {}
    found = missed.find(ADA.id, event.floors, position, LIMIT)
    if isinstance(found, Ambiguous):
        ambiguous = {message.room for message in event.since_mark if message.pk <= position.peer_pk}
        assert ambiguous.issuperset(found.rooms)
        known = {room: last_received(event, room) for room in found.rooms}
        found = missed.find(ADA.id, event.floors, position, LIMIT, known)
    if found is None:
        assert len(expected) > LIMIT
        return
    assert {*found.late, *found.messages} == set(expected)
    assert found.late == sorted(found.late, key=lambda message: message.seq)
    assert found.messages == sorted(found.messages, key=lambda message: message.pk)
    assert len(found.late) + len(found.messages) == len(expected)
    check_replay(missed, event.floors, position, known, found)


def last_received(event, room):
    """The last seq of a room that the process remembers having sent to the client."""
    sent = [seq for name, seq in event.received if name == room]
    return max(sent, default=event.floors.get(room, 1) - 1)


def check_replay(missed, floors, position, known, found):
    """From each replayed message on, the rest is found."""
    replayed = [*found.late, *found.messages]
    for number, message in enumerate(replayed):
        if message in found.late:
            position = current = position._replace(room=RoomPosition(message.room_id, message.seq))
        else:
            current = position._replace(replayed=(message.pk, found.mark))
        rest = missed.find(ADA.id, floors, current, LIMIT, known)
        assert rest is not None
        assert [*rest.late, *rest.messages] == replayed[number + 1 :]


# Single cases


@pytest.fixture
def process(history):
    process = DeliveringProcess(history)
    process.last_seqs = dict.fromkeys(process.names.values(), 0)
    for room in ROOMS:
        process.join(room, 0)
    process.append(["one"])
    return process


def find(missed, process, limit=LIMIT, known=NOTHING, mark=None):
    """What the client has missed since its last event, where it asks a process that has delivered up to `mark`."""
    event = process.events[-1]
    return missed.find(ADA.id, event.floors, position_of(event.part), limit, known, mark)


def test_nothing_missed(missed, process):
    assert find(missed, process)[:2] == ([], [])


def test_changed_conversations_are_found_with_their_newest_seq(missed, process):
    """Also those that have changed before the client's position, but since the asking process last checked."""
    mark = process.mark
    process.append(["bob", "bob", "cy"])
    bob, cy = process.room_of("bob"), process.room_of("cy")
    assert find(missed, process).conversations == {bob: 2, cy: 1}
    process.check_store()
    process.append(["cy"])
    assert find(missed, process).conversations == {cy: 2}
    assert find(missed, process, mark=mark).conversations == {bob: 2, cy: 2}


def test_more_than_the_limit_is_not_found(missed, process):
    process.floors.clear()
    process.append(["one"] * 5 + ["two"] * 5)
    assert len(find(missed, process, 10).messages) == 10
    assert find(missed, process, 9) is None


def test_nothing_is_found_if_a_missed_message_was_pruned(missed, process, history):
    process.append_at_peer(["two"] * 3)
    assert len(find(missed, process).messages) == 3
    later = history.after(process.rows["two"].id, 2, 1)[0].ts + 1
    history.prune(process.rows["two"].id, later)
    assert find(missed, process) is None


def test_received_messages_may_be_pruned(missed, process, history):
    process.append(["two"] * 3)
    process.check_store()
    history.prune(process.rows["two"].id, 2**50)
    process.append(["one"])
    process.check_store()
    process.append(["one"])
    assert find(missed, process)[:2] == ([], [])


def test_direct_messages_between_other_users_are_not_found(missed, process, history):
    history.append([direct("Cy", sender=BOB, to_id=CY.id)], HERE)
    assert find(missed, process)[:2] == ([], [])


def test_an_unknown_room_is_skipped(missed, process):
    event = process.events[-1]
    found = missed.find(ADA.id, {**event.floors, "nowhere": 3}, position_of(event.part), LIMIT)
    assert found[:2] == ([], [])


def test_messages_of_peers_are_missed_if_none_of_them_was_received(missed, process):
    process.append_at_peer(["two"])
    process.append(["one"])
    assert [message.room for message in find(missed, process).messages] == [process.names["two"]]


def test_the_position_in_the_room_of_the_last_event_is_exact(missed, process):
    process.append_at_peer(["one", "two"])
    process.check_store()
    process.append_at_peer(["one"])
    process.receive_bus_message("one")
    assert find(missed, process)[:2] == ([], [])
    process.append_at_peer(["one", "two"])
    assert len(find(missed, process).messages) == 2


def test_rooms_with_ambiguous_messages_are_named(missed, process):
    process.append_at_peer(["two"])
    process.receive_bus_message("two")
    process.append(["one"])
    assert find(missed, process) == Ambiguous([process.names["two"]])
    process.check_store()
    process.append(["one"])
    assert find(missed, process)[:2] == ([], [])


def test_a_room_whose_last_received_seq_is_known_is_not_ambiguous(missed, process):
    two = process.names["two"]
    process.append_at_peer(["two"])
    process.receive_bus_message("two")
    process.append_at_peer(["two", "three"])
    process.append(["one"])
    assert find(missed, process) == Ambiguous([two])
    found = find(missed, process, known={two: 1})
    assert sorted((message.room, message.seq) for message in found.messages) == [
        (process.names["three"], 1),
        (two, 2),
    ]
    assert [message.seq for message in find(missed, process, known={two: 2}).messages] == [1]


def test_a_pruned_message_is_missed_although_the_last_received_seq_is_known(missed, process, history):
    two = process.names["two"]
    process.append_at_peer(["two"] * 3)
    process.receive_bus_message("two")
    process.append(["one"])
    later = history.after(process.rows["two"].id, 1, 1)[0].ts + 1
    history.prune(process.rows["two"].id, later)
    assert find(missed, process, known={two: 0}) is None
