"""Engine.IO 4 and Socket.IO 5 packets: the examples of the protocol pages, and malformed packets."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.socketio import engine_packets, packets
from chat.socketio.engine_packets import PacketError
from chat.socketio.packets import (
    ACK,
    BINARY_ACK,
    BINARY_EVENT,
    CONNECT,
    CONNECT_ERROR,
    DISCONNECT,
    EVENT,
    Assembly,
    Packet,
)
from chat.wire.frames import BINARY, frame, text_frame
from tests.server_frames import frames as unframe

# -- Engine.IO payloads


def test_a_payload_is_split_at_the_record_separator():
    body = b"4hello\x1e2\x1e4\xe2\x82\xac"
    assert engine_packets.decode_payload(body) == [(False, b"4hello"), (False, b"2"), (False, "4€".encode())]


def test_binary_in_a_payload_is_base64():
    assert engine_packets.decode_payload(b"4a\x1ebAQIDBA==") == [(False, b"4a"), (True, b"\x01\x02\x03\x04")]


@pytest.mark.parametrize("body", [b"", b"4a\x1e", b"\x1e4a", b"4\xff", b"b!!!", b"bAQI", b"4\x1e" * 1001])
def test_a_malformed_payload_is_refused(body):
    with pytest.raises(PacketError):
        engine_packets.decode_payload(body)


def test_frames_become_a_payload():
    frames = text_frame(b"4hello") + frame(BINARY, b"\x01\x02\x03\x04") + text_frame(b"4" + b"x" * 200)
    assert engine_packets.encode_payload(frames) == b"4hello\x1ebAQIDBA==\x1e4" + b"x" * 200


def test_a_large_frame_becomes_a_payload():
    assert engine_packets.encode_payload(text_frame(b"4" + b"x" * 70_000)) == b"4" + b"x" * 70_000


# -- Socket.IO packets

GOOD = {
    b"0": Packet(CONNECT),
    b'0{"token":"123"}': Packet(CONNECT, data={"token": "123"}),
    b"0/admin,": Packet(CONNECT, "/admin"),
    b"0/admin": Packet(CONNECT, "/admin"),
    b'0/admin,{"a":1}': Packet(CONNECT, "/admin", {"a": 1}),
    b"0/admin?token=1&uid=2,": Packet(CONNECT, "/admin", query="token=1&uid=2"),
    b"1": Packet(DISCONNECT),
    b"1/admin,": Packet(DISCONNECT, "/admin"),
    b'2["foo"]': Packet(EVENT, data=["foo"]),
    b'2/admin,["bar"]': Packet(EVENT, "/admin", ["bar"]),
    b'212["foo"]': Packet(EVENT, data=["foo"], id=12),
    b'2/admin,456["a",1]': Packet(EVENT, "/admin", ["a", 1], 456),
    b"2[1]": Packet(EVENT, data=[1]),
    b"3/admin,13[]": Packet(ACK, "/admin", [], 13),
    b'312["bar"]': Packet(ACK, data=["bar"], id=12),
    b'51-["baz",{"_placeholder":true,"num":0}]': Packet(
        BINARY_EVENT, data=["baz", {"_placeholder": True, "num": 0}], attachments=1
    ),
    b'61-/admin,15["bar",{"_placeholder":true,"num":0}]': Packet(
        BINARY_ACK, "/admin", ["bar", {"_placeholder": True, "num": 0}], 15, 1
    ),
}


@pytest.mark.parametrize("text", GOOD)
def test_a_packet_is_read(text):
    assert packets.decode(text) == GOOD[text]


BAD = [
    b"",
    b"abc",
    b"7",
    b"9",
    b"0[]",
    b'0"x"',
    b"0{",
    b"01",
    b"1{}",
    b"15",
    b"2",
    b"2{}",
    b"2[]",
    b"2[null]",
    b"2[{}]",
    b"2[true]",
    b'2["connect"]',
    b'2["disconnect",1]',
    b'2["newListener"]',
    b'2["a"',
    b'2"a"',
    b"3[]",
    b"312{}",
    b"312",
    b'4{"message":"x"}',
    b'5["a"]',
    b'5x-["a"]',
    b'5-["a"]',
    b'5101-["a"]',
    b'2 12["a"]',
    b'2/admin["a"]',
    b"2" + b"1" * 16 + b'["a"]',
]


@pytest.mark.parametrize("text", BAD)
def test_a_malformed_packet_is_refused(text):
    with pytest.raises(PacketError):
        packets.decode(text)


@given(st.text().map(str.encode))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(PacketError):
        packets.decode(text)


# -- attachments


def assembled(text, *buffers):
    assembly = Assembly(text, packets.decode(text).attachments)
    for buffer in buffers:
        assert assembly.missing
        assembly.add(buffer)
    return None if assembly.missing else assembly.finish()


def test_attachments_replace_their_placeholders():
    text = b'52-["up",{"a":[{"_placeholder":true,"num":1}]},{"_placeholder":true,"num":0}]'
    assert assembled(text, b"one", b"two") == Packet(EVENT, data=["up", {"a": [b"two"]}, b"one"])


def test_an_ack_may_have_attachments():
    assert assembled(b'61-7[{"_placeholder":true,"num":0}]', b"x") == Packet(ACK, data=[b"x"], id=7)


def test_a_packet_waits_for_all_of_its_attachments():
    assert assembled(b'52-["up",{"_placeholder":true,"num":0}]', b"one") is None


@pytest.mark.parametrize("number", [b"1", b"-1", b'"0"', b"null", b"0.0", b"true"])
def test_a_placeholder_must_name_an_attachment(number):
    with pytest.raises(PacketError):
        assembled(b'51-["up",{"_placeholder":true,"num":%b}]' % number, b"one")


def test_nesting_is_bounded():
    text = b'51-["up",' + b"[" * 100 + b"]" * 100 + b"]"
    with pytest.raises(PacketError):
        assembled(text, b"one")


# -- encoding


@pytest.mark.parametrize(
    "text", [text for text in GOOD if text[:1] in b"0123" and b"?" not in text and text != b"0/admin"]
)
def test_an_encoded_packet_decodes_to_itself(text):
    packet = GOOD[text]
    frames = unframe(packets.encode(packet))
    assert [payload for _, payload in frames] == [b"4" + text]


def test_bytes_travel_as_attachments():
    frames = unframe(packets.encode(Packet(EVENT, "/a", ["up", b"one", {"b": [bytearray(b"two")]}], 3)))
    text = b'452-/a,3["up",{"_placeholder":true,"num":0},{"b":[{"_placeholder":true,"num":1}]}]'
    assert [payload for _, payload in frames] == [text, b"one", b"two"]


def test_an_offset_is_one_more_argument():
    frames = packets.assemble(EVENT, b"/a,", None, packets.prepare(["x", 1]), b"7f-1")
    assert unframe(frames) == [(1, b'42/a,["x",1,"7f-1"]')]


@pytest.mark.parametrize("data", [["x", object()], ["x", {1: 2}], ["x", float]])
def test_data_that_json_cannot_hold_is_refused(data):
    with pytest.raises(TypeError):
        packets.prepare(data)


def test_a_refusal_has_an_object():
    packet = Packet(CONNECT_ERROR, "/random", {"message": "Invalid namespace"})
    assert unframe(packets.encode(packet)) == [(1, b'44/random,{"message":"Invalid namespace"}')]
