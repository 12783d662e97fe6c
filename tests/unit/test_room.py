"""The order of a room, the ids that it knows again, and one write a member."""

import time

import pytest

from chat.codec import NATIVE
from chat.config import Settings
from chat.envelope import Envelope, Identity
from chat.errors import ChatError
from chat.order import CONVERSATIONS, REMEMBERED, REMEMBERED_DIRECT, Conversations, Order
from chat.room import Room
from chat.roster import Roster
from chat.stats import Stats
from tests import owner as owners
from tests.unframed import messages

ANN, BOB = Identity("1", "ann"), Identity("2", "bob")


def said(id=None, data="hi", user=ANN, type=2, to=None):
    return Envelope(type, data, "lobby", to, id, user)


@pytest.fixture
def order():
    return Order(ephemeral=False)


# -- order


def test_seq_counts_from_1_without_gaps_whoever_speaks(order):
    spoken = [said(), said(user=BOB), said("x"), said(user=None), said("x", user=BOB)]
    assert [order.place(envelope) for envelope in spoken] == [True] * 5
    assert [envelope.seq for envelope in spoken] == [1, 2, 3, 4, 5]


def test_ts_is_the_time_in_milliseconds(order):
    envelope = said()
    before = time.time_ns() // 1_000_000
    order.place(envelope)
    assert before <= envelope.ts <= time.time_ns() // 1_000_000


def test_a_repeat_gets_what_the_first_one_got_and_uses_up_no_seq(order):
    first, again, other = said("x"), said("x"), said("y")
    order.place(first)
    time.sleep(0.002)  # so that its own time would be another
    assert order.place(again) is False
    assert (again.seq, again.ts) == (first.seq, first.ts)
    order.place(other)
    assert other.seq == 2


@pytest.mark.parametrize("other", [{"data": "HI"}, {"data": ""}, {"type": 3, "to": "bob"}])
def test_the_same_id_for_another_body_is_refused(order, other):
    order.place(said("x"))
    with pytest.raises(ChatError) as refused:
        order.place(said("x", **other))
    assert (refused.value.code, refused.value.ref) == ("id_conflict", "x")
    assert order.place(said("x")) is False
    fresh = said("y")
    order.place(fresh)
    assert fresh.seq == 2


def test_a_direct_message_to_somebody_else_is_another_body(order):
    order.place(said("x", type=3, to="bob"))
    with pytest.raises(ChatError, match="id_conflict"):
        order.place(said("x", type=3, to="cat"))


def test_each_sender_has_ids_of_its_own(order):
    assert order.place(said("x", user=ANN))
    assert order.place(said("x", user=BOB, data="other"))
    assert order.place(said("x", user=BOB, data="other")) is False


def test_without_an_id_every_message_is_a_new_one(order):
    assert [order.place(said()) for _ in range(3)] == [True] * 3


def test_the_last_thousand_ids_are_remembered(order):
    for i in range(REMEMBERED + 1):
        order.place(said(f"id{i}"))
    assert REMEMBERED == 1_000
    assert order.place(said("id1")) is False
    assert order.place(said(f"id{REMEMBERED}")) is False
    assert order.place(said("id0")) is True  # the first was forgotten


def test_an_ephemeral_room_gives_no_seq_but_knows_its_ids():
    order = Order(ephemeral=True)
    first, again = said("x"), said("x")
    assert order.place(first) is True
    assert first.seq is None and first.ts > 0
    assert order.place(again) is False
    assert (again.seq, again.ts) == (None, first.ts)
    with pytest.raises(ChatError, match="id_conflict"):
        order.place(said("x", data="other"))


# -- direct conversations


def direct(room, id="x", data="hi"):
    return Envelope(3, data, room, "bob", id, ANN)


def conversations(*ephemeral):
    return Conversations(Settings(ephemeral_rooms=ephemeral))


def test_each_conversation_counts_for_itself():
    orders = conversations()
    spoken = [direct("dm:1:2", None), direct("dm:1:3", None), direct("dm:1:2", None)]
    for envelope in spoken:
        orders.order(envelope.room).place(envelope)
    assert [envelope.seq for envelope in spoken] == [1, 1, 2]


def test_an_id_of_one_conversation_is_unknown_to_another():
    orders = conversations()
    assert orders.order("dm:1:2").place(direct("dm:1:2"))
    assert orders.order("dm:1:3").place(direct("dm:1:3", data="other"))
    assert not orders.order("dm:1:2").place(direct("dm:1:2"))


@pytest.mark.parametrize("pattern", ["dm:*", "*", "dm:1:?"])
def test_an_ephemeral_conversation_gives_no_seq_but_knows_its_ids(pattern):
    orders = conversations("lobby", pattern)
    first, again = direct("dm:1:2"), direct("dm:1:2")
    assert orders.order("dm:1:2").place(first)
    assert first.seq is None
    assert not orders.order("dm:1:2").place(again)
    assert again.ts == first.ts


def test_all_conversations_remember_so_many_ids_together():
    orders = conversations()
    for i in range(REMEMBERED_DIRECT + 1):
        room = f"dm:1:{i % 500}"
        orders.order(room).place(direct(room, f"id{i}"))
    assert not orders.order("dm:1:1").place(direct("dm:1:1", "id1"))
    assert orders.order("dm:1:0").place(direct("dm:1:0", "id0"))  # the first was forgotten


def test_the_conversation_longest_silent_is_forgotten_first():
    orders = conversations()
    for i in range(CONVERSATIONS):
        orders.order(f"dm:1:{i}").place(direct(f"dm:1:{i}", None))
    orders.order("dm:1:0").place(direct("dm:1:0", None))
    orders.order("dm:1:new").place(direct("dm:1:new", None))
    kept, forgotten = direct("dm:1:0", None), direct("dm:1:1", None)
    orders.order("dm:1:0").place(kept)
    orders.order("dm:1:1").place(forgotten)
    assert (kept.seq, forgotten.seq) == (3, 1)


# -- what a room says


@pytest.fixture
def room():
    return Room("lobby", Roster("lobby", 0, 1_000_000), ephemeral=False)


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


def say(room, text):
    envelope = said(data=text)
    room.order.place(envelope)
    room.say(envelope)


def test_what_was_said_in_a_tick_is_written_once_to_each_member(room, peers):
    for text in ("one", "two", "three"):
        say(room, text)
    assert peers[0].read() == b""
    room.flush(Stats())
    written = [peer.sock.recv(1 << 16) for peer in peers]
    assert written[0] == written[1] == written[2]
    assert [(m["data"], m["seq"]) for m in messages(written[0])] == [("one", 1), ("two", 2), ("three", 3)]


def test_a_flush_says_nothing_twice(room, peers):
    say(room, "once")
    room.flush(Stats())
    room.flush(Stats())
    assert len(messages(peers[0].read())) == 1


def test_a_message_is_encoded_once_for_all_members(room, peers):
    say(room, "one")
    (pending,) = room.audiences[NATIVE].pending
    room.flush(Stats())
    assert [peer.read() for peer in peers] == [pending] * 3
