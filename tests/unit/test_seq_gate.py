"""The seq gate: in order and once; and the gates of conversations, created and dropped as needed."""

import random

import pytest

from chat.rooms.seq_gate import Conversations, SeqGate
from chat.wire.envelope import Envelope, direct_room, other_participant, participants


def message(seq):
    return Envelope(2, "hi", "lobby", seq=seq)


def seqs(envelopes):
    return [envelope.seq for envelope in envelopes]


def test_messages_in_order_pass_at_once():
    gate = SeqGate(5)
    assert [seqs(gate.take(message(seq))) for seq in (6, 7)] == [[6], [7]]
    assert gate.last == 7 and not gate.missing


def test_a_message_that_has_passed_is_dropped():
    gate = SeqGate(5)
    assert seqs(gate.take(message(5))) == seqs(gate.take(message(1))) == []
    gate.take(message(6))
    assert seqs(gate.take(message(6))) == []


def test_an_early_message_waits_for_the_missing_ones():
    gate = SeqGate(0)
    assert seqs(gate.take(message(4))) == []
    assert gate.missing == range(1, 4)
    assert seqs(gate.take(message(1))) == [1]
    assert gate.missing == range(2, 4)
    assert seqs(gate.take(message(3))) == []
    assert seqs(gate.take(message(2))) == [2, 3, 4]
    assert not gate.missing


def test_a_closed_gate_holds_all_messages():
    gate = SeqGate(None)
    assert [seqs(gate.take(message(seq))) for seq in (3, 4, 6)] == [[], [], []]
    assert not gate.missing
    assert seqs(gate.open(3)) == [4]
    assert gate.missing == range(5, 6)


def test_each_message_passes_once_whatever_the_order_and_repeats():
    rng = random.Random(5)
    for _ in range(200):
        gate, coming = SeqGate(0), [*range(1, 30)] * 2
        rng.shuffle(coming)
        assert [seq for one in coming for seq in seqs(gate.take(message(one)))] == list(range(1, 30))


def test_a_conversation_begins_before_its_first_message():
    conversations = Conversations()
    gate = conversations.get_or_create("dm:a:b", 6)
    assert seqs(gate.take(message(7))) == [7]
    assert conversations.get_or_create("dm:a:b", 99) is gate


def test_a_gate_is_dropped_at_the_second_rotation_without_use():
    conversations = Conversations()
    gate = conversations.get_or_create("dm:a:b", 0)
    conversations.rotate()
    assert conversations.get("dm:a:b") is gate
    conversations.rotate()
    assert conversations.get("dm:a:b") is gate
    conversations.rotate()
    conversations.rotate()
    assert conversations.get("dm:a:b") is None and not len(conversations)


def test_a_gate_with_waiting_messages_is_not_dropped():
    conversations = Conversations()
    gate = conversations.get_or_create("dm:a:b", 0)
    gate.take(message(2))
    for _ in range(5):
        conversations.rotate()
    assert conversations.get("dm:a:b") is gate


@pytest.mark.parametrize(
    "pair",
    [
        ("1", "2"),
        ("2", "1"),
        ("a:b", "c"),
        ("a", "b:c"),
        ("%3A", ":"),
        ("x/y", "100%"),
        ("", "x"),
        ("same", "same"),
        ("张三", "李四"),
    ],
)
def test_each_participant_of_a_conversation_is_found_from_the_other(pair):
    room = direct_room(*pair)
    assert (other_participant(room, pair[0]), other_participant(room, pair[1])) == (pair[1], pair[0])
    assert sorted(participants(room)) == sorted(pair)
    assert "/" not in room and room.count(":") == 2
    assert other_participant(room, "stranger") is None


def test_no_two_pairs_share_a_conversation():
    assert direct_room("a", "b:c") != direct_room("a:b", "c")
    assert direct_room("a:b", "c") == direct_room("c", "a:b")


@pytest.mark.parametrize(
    "room", ["lobby", "", "dm", "dm:", "dm:a", "dm:b:a", "dm:a:b:c", "xdm:a:b", "dm:a%3b:c"]
)
def test_other_rooms_have_no_participants(room):
    assert participants(room) is None
    assert other_participant(room, "a") is None
