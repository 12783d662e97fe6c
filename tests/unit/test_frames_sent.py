"""The server's frames, read by another implementation: wsproto's client."""

import pytest
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from chat.wire.frames import BINARY, PING, PONG, TEXT, close_frame, frame, text_frame

SIZES = [0, 1, 125, 126, 127, 65535, 65536, 200000]


def seen_by_a_client(raw):
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(raw)
    return list(client.events())


@pytest.mark.parametrize("size", SIZES)
def test_text(size):
    text = "欢" + "x" * (size - 3) if size > 3 else "x" * size
    assert len(text.encode()) == size
    for raw in (text_frame(text.encode()), frame(TEXT, text.encode())):
        events = seen_by_a_client(raw)
        assert all(isinstance(event, TextMessage) for event in events)
        assert "".join(event.data for event in events) == text
        assert events[-1].message_finished


@pytest.mark.parametrize("size", SIZES)
def test_binary(size):
    events = seen_by_a_client(frame(BINARY, b"\xff" * size))
    assert all(isinstance(event, BytesMessage) for event in events)
    assert b"".join(event.data for event in events) == b"\xff" * size
    assert events[-1].message_finished


@pytest.mark.parametrize(("size", "head"), [(0, 2), (125, 2), (126, 4), (65535, 4), (65536, 10)])
def test_the_shortest_form_of_length_is_used(size, head):
    assert len(text_frame(b"x" * size)) == len(frame(BINARY, b"x" * size)) == head + size


@pytest.mark.parametrize(("opcode", "event"), [(PING, Ping), (PONG, Pong)], ids=["ping", "pong"])
@pytest.mark.parametrize("payload", [b"", b"x", b"x" * 125], ids=len)
def test_control(opcode, event, payload):
    assert seen_by_a_client(frame(opcode, payload)) == [event(payload)]


def test_many_joined():
    raw = b"".join(text_frame(b"%d" % n) for n in range(100)) + frame(PING, b"") + close_frame(1000)
    events = seen_by_a_client(raw)
    assert [event.data for event in events[:100]] == [str(n) for n in range(100)]
    assert events[100:] == [Ping(b""), CloseConnection(1000, "")]


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1009, 1012, 1013, 4401, 4403, 4408, 4429])
def test_close(code):
    assert seen_by_a_client(close_frame(code, "再见")) == [CloseConnection(code, "再见")]


def test_close_without_a_code():
    assert close_frame(1005) == b"\x88\x00"


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("x" * 123, "x" * 123),
        ("x" * 124, "x" * 123),
        ("欢" * 41, "欢" * 41),
        ("x" + "欢" * 41, "x" + "欢" * 40),
        ("😀" * 40, "😀" * 30),
        ("a\udc00b", "a?b"),
    ],
    ids=["fits", "ascii", "chinese fits", "chinese", "four bytes", "surrogate"],
)
def test_a_long_reason_is_cut_between_characters(reason, expected):
    raw = close_frame(1000, reason)
    assert len(raw) <= 2 + 125
    assert seen_by_a_client(raw) == [CloseConnection(1000, expected)]
