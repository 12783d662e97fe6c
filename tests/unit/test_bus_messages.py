"""Bus messages: what is encoded is decoded again, and anything else is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.cluster import bus_messages
from chat.store.history import Message
from chat.wire.envelope import Envelope, Identity, MessageType, direct_room

ANN = Identity("1", "ann")
ORIGIN = 77
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


def transmitted(*parts):
    """The parts of a bus message as another process decodes them."""
    kind, decoded = bus_messages.decode(bus_messages.encode("k", *parts))
    assert kind == "k"
    return decoded


@given(st.lists(TEXTS | st.integers(-(2**63), 2**63 - 1) | st.none() | st.booleans() | st.lists(TEXTS)))
def test_parts_arrive_as_they_were_sent(parts):
    assert transmitted(*parts) == parts


@pytest.mark.parametrize(
    "message",
    [
        Message(
            9, "lobby", 1, 4, MessageType.GROUP_CHAT, ANN, None, "m1", "大家好 😀", 1_700_000_000_000, ORIGIN
        ),
        Message(9, "den", 2, 1, MessageType.GROUP_CHAT, None, None, "m1", "from the server", 5, ORIGIN),
        Message(9, direct_room("1", "2"), 3, 7, MessageType.SINGLE_CHAT, ANN, "bob", "m1", "psst", 5, ORIGIN),
    ],
    ids=["group", "server", "direct"],
)
def test_a_stored_message_arrives_unchanged(message):
    (row,) = transmitted(bus_messages.message_row(message))
    assert bus_messages.message_of(row, ORIGIN) == message


def test_the_origin_of_a_message_is_the_sender_of_the_bus_message():
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
    ids=["group", "server", "direct", "server, direct"],
)
def test_a_message_that_is_not_stored_arrives_unchanged(envelope, to_id):
    (row,) = transmitted(bus_messages.envelope_row(envelope))
    decoded = bus_messages.envelope_of(row)
    assert bus_messages.envelope_row(decoded) == bus_messages.envelope_row(envelope)
    assert (decoded.user, decoded.to_id) == (envelope.user, to_id)


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"\xff", b"null", b"7", b'"m"', b"{}", b'{"0":"m"}', b"[]", b"[1]", b"[null]", b'[["m"]]'],
)
def test_other_payloads_are_refused(payload):
    with pytest.raises(ValueError, match=r"."):
        bus_messages.decode(payload)


def test_a_bus_message_may_have_no_parts():
    assert bus_messages.decode(bus_messages.encode("bye")) == ("bye", [])


def test_channels_are_distinct():
    names = [
        bus_messages.ALL,
        bus_messages.room_channel("all"),
        bus_messages.user_channel("all"),
        bus_messages.process_channel(0xA11),
    ]
    assert len(set(names)) == len(names)
