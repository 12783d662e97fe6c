"""A room: order, one write a member, and the ids that an ephemeral room recognises."""

import time

import pytest

from chat.loop.stats import Stats
from chat.rooms.dedupe import REMEMBERED, Dedupe
from chat.rooms.room import JoinBuffer, Room
from chat.rooms.roster import Roster
from chat.rooms.seq_gate import SeqGate
from chat.wire.codec import NATIVE
from chat.wire.envelope import Envelope, Identity
from chat.wire.errors import ChatError
from tests import client_owner as owners
from tests.server_frames import messages

ANN, BOB = Identity("1", "ann"), Identity("2", "bob")


def message(id=None, data="hi", user=ANN, type=2, to=None):
    return Envelope(type, data, "lobby", to, id, user)


@pytest.fixture
def dedupe():
    return Dedupe()


# -- the ids of an ephemeral room


def test_ts_is_the_time_in_milliseconds(dedupe):
    envelope = message()
    before = time.time_ns() // 1_000_000
    dedupe.register(envelope)
    assert before <= envelope.ts <= time.time_ns() // 1_000_000
    assert envelope.seq is None


def test_a_repeat_gets_the_time_of_the_first(dedupe):
    first, again = message("x"), message("x")
    assert dedupe.register(first) is True
    time.sleep(0.002)  # so that its own time would be another
    assert dedupe.register(again) is False
    assert again.ts == first.ts


@pytest.mark.parametrize("other", [{"data": "HI"}, {"data": ""}, {"type": 3, "to": "bob"}])
def test_the_same_id_for_another_body_is_refused(dedupe, other):
    dedupe.register(message("x"))
    with pytest.raises(ChatError) as refused:
        dedupe.register(message("x", **other))
    assert (refused.value.code, refused.value.ref) == ("id_conflict", "x")
    assert dedupe.register(message("x")) is False


def test_a_direct_message_to_another_user_is_another_body(dedupe):
    dedupe.register(message("x", type=3, to="bob"))
    with pytest.raises(ChatError, match="id_conflict"):
        dedupe.register(message("x", type=3, to="cat"))


def test_each_sender_has_ids_of_its_own(dedupe):
    assert dedupe.register(message("x", user=ANN))
    assert dedupe.register(message("x", user=BOB, data="other"))
    assert dedupe.register(message("x", user=BOB, data="other")) is False


def test_an_id_of_one_conversation_is_unknown_to_another(dedupe):
    assert dedupe.register(Envelope(3, "hi", "dm:1:2", "bob", "x", ANN))
    assert dedupe.register(Envelope(3, "other", "dm:1:3", "cat", "x", ANN))
    assert not dedupe.register(Envelope(3, "hi", "dm:1:2", "bob", "x", ANN))


def test_a_message_without_an_id_is_always_new(dedupe):
    assert [dedupe.register(message()) for _ in range(3)] == [True] * 3
    assert len(dedupe) == 0


def test_the_last_thousand_ids_are_remembered(dedupe):
    for i in range(REMEMBERED + 1):
        dedupe.register(message(f"id{i}"))
    assert REMEMBERED == 1_000
    assert dedupe.register(message("id1")) is False
    assert dedupe.register(message(f"id{REMEMBERED}")) is False
    assert dedupe.register(message("id0")) is True  # the first was forgotten


# -- the messages of a room


@pytest.fixture
def pending_rooms():
    return []


@pytest.fixture
def room(pending_rooms):
    return Room("lobby", Roster("lobby", 0, 1_000_000), SeqGate(0), pending_rooms.append, keep=3)


@pytest.fixture
def peers(room):
    """The remote ends of three members of the room."""
    owner = owners.Owner()
    pairs = [owners.connect(owner) for _ in range(3)]
    for client, _ in pairs:
        room.add(client)
    yield [peer for _, peer in pairs]
    for client, peer in pairs:
        client.drop()
        peer.sock.close()


def stored(seq, text="hi"):
    envelope = message(f"id{seq}", text)
    envelope.seq = seq
    return envelope


def texts(raw):
    return [(message["data"], message["seq"]) for message in messages(raw)]


def test_the_messages_of_a_tick_are_written_once_to_each_member(room, peers):
    for seq, text in enumerate(("one", "two", "three"), 1):
        room.deliver(stored(seq, text))
    assert peers[0].read() == b""
    room.flush(Stats())
    written = [peer.sock.recv(1 << 16) for peer in peers]
    assert written[0] == written[1] == written[2]
    assert texts(written[0]) == [("one", 1), ("two", 2), ("three", 3)]


def test_a_flush_sends_nothing_twice(room, peers):
    room.deliver(stored(1))
    room.flush(Stats())
    room.flush(Stats())
    assert len(messages(peers[0].read())) == 1


def test_a_message_is_encoded_once_for_all_members(room, peers):
    room.deliver(stored(1))
    (pending,) = room.audiences[NATIVE].pending
    room.flush(Stats())
    assert [peer.read() for peer in peers] == [pending] * 3


def test_a_room_requests_one_flush_for_many_messages(room, pending_rooms):
    for seq in (1, 2, 3):
        room.deliver(stored(seq))
    assert pending_rooms == [room]
    room.flush(Stats())
    room.deliver(stored(4))
    assert pending_rooms == [room, room]


@pytest.mark.parametrize("order", [(1, 2, 3, 4), (4, 3, 2, 1), (2, 1, 2, 4, 4, 3, 1), (1, 3, 2, 4)])
def test_messages_are_delivered_once_and_in_the_order_of_seq(room, peers, order):
    for seq in order:
        room.deliver(stored(seq))
        room.flush(Stats())
    assert [seq for _, seq in texts(peers[0].read())] == [1, 2, 3, 4]


def test_messages_are_buffered_for_a_joining_client_up_to_a_bound(room):
    owner = owners.Owner()
    client, peer = owners.connect(owner)
    buffer = room.joining[client] = JoinBuffer()
    for seq in (1, 2, 3):
        room.deliver(stored(seq))
    assert [envelope.seq for envelope in buffer.messages] == [1, 2, 3]
    assert not buffer.overflowed
    room.deliver(stored(4))
    assert buffer.overflowed
    client.drop()
    peer.sock.close()


def test_a_room_is_empty_without_members_and_joining_clients(room, peers):
    assert not room.empty
    members = list(room.members())
    for member in members:
        room.remove(member)
    assert room.empty
    room.joining[members[0]] = JoinBuffer()
    assert not room.empty
