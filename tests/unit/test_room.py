"""A room: in order, one write a member, and what an ephemeral one knows again."""

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


def said(id=None, data="hi", user=ANN, type=2, to=None):
    return Envelope(type, data, "lobby", to, id, user)


@pytest.fixture
def known():
    return Dedupe()


# -- an ephemeral room's ids


def test_ts_is_the_time_in_milliseconds(known):
    envelope = said()
    before = time.time_ns() // 1_000_000
    known.register(envelope)
    assert before <= envelope.ts <= time.time_ns() // 1_000_000
    assert envelope.seq is None


def test_a_repeat_gets_the_first_ones_time(known):
    first, again = said("x"), said("x")
    assert known.register(first) is True
    time.sleep(0.002)  # so that its own time would be another
    assert known.register(again) is False
    assert again.ts == first.ts


@pytest.mark.parametrize("other", [{"data": "HI"}, {"data": ""}, {"type": 3, "to": "bob"}])
def test_the_same_id_for_another_body_is_refused(known, other):
    known.register(said("x"))
    with pytest.raises(ChatError) as refused:
        known.register(said("x", **other))
    assert (refused.value.code, refused.value.ref) == ("id_conflict", "x")
    assert known.register(said("x")) is False


def test_a_direct_message_to_somebody_else_is_another_body(known):
    known.register(said("x", type=3, to="bob"))
    with pytest.raises(ChatError, match="id_conflict"):
        known.register(said("x", type=3, to="cat"))


def test_each_sender_has_ids_of_its_own(known):
    assert known.register(said("x", user=ANN))
    assert known.register(said("x", user=BOB, data="other"))
    assert known.register(said("x", user=BOB, data="other")) is False


def test_an_id_of_one_conversation_is_unknown_to_another(known):
    assert known.register(Envelope(3, "hi", "dm:1:2", "bob", "x", ANN))
    assert known.register(Envelope(3, "other", "dm:1:3", "cat", "x", ANN))
    assert not known.register(Envelope(3, "hi", "dm:1:2", "bob", "x", ANN))


def test_without_an_id_every_message_is_a_new_one(known):
    assert [known.register(said()) for _ in range(3)] == [True] * 3
    assert len(known) == 0


def test_the_last_thousand_ids_are_remembered(known):
    for i in range(REMEMBERED + 1):
        known.register(said(f"id{i}"))
    assert REMEMBERED == 1_000
    assert known.register(said("id1")) is False
    assert known.register(said(f"id{REMEMBERED}")) is False
    assert known.register(said("id0")) is True  # the first was forgotten


# -- what a room says


@pytest.fixture
def talking():
    return []


@pytest.fixture
def room(talking):
    return Room("lobby", Roster("lobby", 0, 1_000_000), SeqGate(0), talking.append, keep=3)


@pytest.fixture
def peers(room):
    """Three members of the room, and their peers."""
    owner = owners.Owner()
    pairs = [owners.connect(owner) for _ in range(3)]
    for client, _ in pairs:
        room.add(client)
    yield [peer for _, peer in pairs]
    for client, peer in pairs:
        client.drop()
        peer.sock.close()


def stored(seq, text="hi"):
    envelope = said(f"id{seq}", text)
    envelope.seq = seq
    return envelope


def texts(raw):
    return [(message["data"], message["seq"]) for message in messages(raw)]


def test_what_was_said_in_a_tick_is_written_once_to_each_member(room, peers):
    for seq, text in enumerate(("one", "two", "three"), 1):
        room.deliver(stored(seq, text))
    assert peers[0].read() == b""
    room.flush(Stats())
    written = [peer.sock.recv(1 << 16) for peer in peers]
    assert written[0] == written[1] == written[2]
    assert texts(written[0]) == [("one", 1), ("two", 2), ("three", 3)]


def test_a_flush_says_nothing_twice(room, peers):
    room.deliver(stored(1))
    room.flush(Stats())
    room.flush(Stats())
    assert len(messages(peers[0].read())) == 1


def test_a_message_is_encoded_once_for_all_members(room, peers):
    room.deliver(stored(1))
    (pending,) = room.audiences[NATIVE].pending
    room.flush(Stats())
    assert [peer.read() for peer in peers] == [pending] * 3


def test_a_room_asks_for_one_flush_however_much_it_says(room, talking):
    for seq in (1, 2, 3):
        room.deliver(stored(seq))
    assert talking == [room]
    room.flush(Stats())
    room.deliver(stored(4))
    assert talking == [room, room]


@pytest.mark.parametrize("order", [(1, 2, 3, 4), (4, 3, 2, 1), (2, 1, 2, 4, 4, 3, 1), (1, 3, 2, 4)])
def test_whatever_order_messages_come_in_they_are_heard_in_that_of_seq_and_once(room, peers, order):
    for seq in order:
        room.deliver(stored(seq))
        room.flush(Stats())
    assert [seq for _, seq in texts(peers[0].read())] == [1, 2, 3, 4]


def test_a_newcomer_is_kept_what_is_said_meanwhile_up_to_a_bound(room):
    owner = owners.Owner()
    client, peer = owners.connect(owner)
    newcomer = room.joining[client] = JoinBuffer()
    for seq in (1, 2, 3):
        room.deliver(stored(seq))
    assert [envelope.seq for envelope in newcomer.messages] == [1, 2, 3]
    assert not newcomer.overflowed
    room.deliver(stored(4))
    assert newcomer.overflowed
    client.drop()
    peer.sock.close()


def test_a_room_is_empty_when_nobody_is_in_it_or_coming(room, peers):
    assert not room.empty
    members = list(room.members())
    for member in members:
        room.remove(member)
    assert room.empty
    room.joining[members[0]] = JoinBuffer()
    assert not room.empty
