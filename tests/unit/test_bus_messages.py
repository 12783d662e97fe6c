"""What processes tell each other: what is written is read again, and what is no hint is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.cluster import bus_messages
from chat.store.history import Message
from chat.wire.envelope import Envelope, Identity, MessageType, direct_room

ANN = Identity("1", "ann")
ORIGIN = 77
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


def carried(*parts):
    """The parts of a hint, as another process reads them."""
    kind, read = bus_messages.decode(bus_messages.encode("k", *parts))
    assert kind == "k"
    return read


@given(st.lists(TEXTS | st.integers(-(2**63), 2**63 - 1) | st.none() | st.booleans() | st.lists(TEXTS)))
def test_what_is_written_is_read_again(parts):
    assert carried(*parts) == parts


@pytest.mark.parametrize(
    "message",
    [
        Message(
            9, "lobby", 1, 4, MessageType.GROUP_CHAT, ANN, None, "m1", "大家好 😀", 1_700_000_000_000, ORIGIN
        ),
        Message(9, "den", 2, 1, MessageType.GROUP_CHAT, None, None, "m1", "from the house", 5, ORIGIN),
        Message(9, direct_room("1", "2"), 3, 7, MessageType.SINGLE_CHAT, ANN, "bob", "m1", "psst", 5, ORIGIN),
    ],
    ids=["group", "house", "direct"],
)
def test_a_stored_message_is_the_same_on_the_other_side(message):
    (row,) = carried(bus_messages.message_row(message))
    assert bus_messages.message_of(row, ORIGIN) == message


def test_who_stored_a_message_is_who_told_of_it():
    message = Message(9, "lobby", 1, 4, MessageType.GROUP_CHAT, ANN, None, "m1", "hi", 5, ORIGIN)
    assert bus_messages.message_of(bus_messages.message_row(message), 5).origin == 5


@pytest.mark.parametrize(
    ("envelope", "to_id"),
    [
        (Envelope(MessageType.GROUP_CHAT, "…", "typing", None, "m1", ANN, None, 5), None),
        (Envelope(MessageType.GROUP_CHAT, "…", "typing", None, "m1", None, None, 5), None),
        (Envelope(MessageType.SINGLE_CHAT, "…", direct_room("1", "2"), "bob", "m1", ANN, None, 5), "2"),
        (Envelope(MessageType.SINGLE_CHAT, "…", direct_room("", "2"), "bob", "m1", None, None, 5), "2"),
    ],
    ids=["group", "house", "direct", "house, direct"],
)
def test_what_is_stored_nowhere_is_the_same_on_the_other_side(envelope, to_id):
    (row,) = carried(bus_messages.envelope_row(envelope))
    read = bus_messages.envelope_of(row)
    assert bus_messages.envelope_row(read) == bus_messages.envelope_row(envelope)
    assert (read.user, read.to_id) == (envelope.user, to_id)


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"\xff", b"null", b"7", b'"m"', b"{}", b'{"0":"m"}', b"[]", b"[1]", b"[null]", b'[["m"]]'],
)
def test_what_is_no_hint_is_refused(payload):
    with pytest.raises(ValueError, match=r"."):
        bus_messages.decode(payload)


def test_a_hint_may_have_no_parts():
    assert bus_messages.decode(bus_messages.encode("bye")) == ("bye", [])


def test_channels_never_meet():
    names = [
        bus_messages.ALL,
        bus_messages.room_channel("all"),
        bus_messages.user_channel("all"),
        bus_messages.process_channel(0xA11),
    ]
    assert len(set(names)) == len(names)
