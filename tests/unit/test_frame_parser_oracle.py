"""The frame parser compared with wsproto: the same messages and errors for the same bytes, for any cuts."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.frame_protocol import FrameProtocol

from chat.wire.frame_parser import Parser
from chat.wire.frames import BINARY, CLOSE, PING, PONG, TEXT, parse_close

MAX = 131072

unhurried = settings(deadline=None)

sizes = st.integers(0, 300) | st.sampled_from([125, 126, 127, 4096, 4097, 65535, 65536])
texts = st.text(max_size=40) | st.builds(
    lambda size, letter: letter * (size // 3), sizes, st.sampled_from("a欢é")
)
binaries = st.binary(max_size=40) | st.builds(
    lambda size, byte: byte * size, sizes, st.binary(min_size=1, max_size=1)
)
controls = st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125))
places = st.lists(st.floats(0, 1), max_size=6)
closes = st.none() | st.tuples(
    st.sampled_from([1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 4401, 4999]),
    st.text(max_size=30),
)


def cut(whole, where):
    """Return the pieces of `whole`, cut at these fractions of it; some of them empty."""
    marks = [0, *sorted(int(place * len(whole)) for place in where), len(whole)]
    return [whole[begin:end] for begin, end in pairwise(marks)]


def data_frame(client, text, payload, final):
    """Return a frame made by wsproto; one of text may end within a character, which its public API would refuse."""
    raw = client.send_data(payload, final)
    if text and raw[0] & 0x0F == BINARY:
        raw[0] ^= BINARY ^ TEXT
    return bytes(raw)


@st.composite
def streams(draw):
    """Return a client's stream: messages, whole or in fragments, control frames anywhere, perhaps a close."""
    client = FrameProtocol(client=True, extensions=[])
    raw = []
    for body in draw(st.lists(texts | binaries, max_size=6)):
        text = isinstance(body, str)
        pieces = cut(body.encode() if text else body, draw(places))
        for at, piece in enumerate(pieces, 1):
            raw += [bytes(control(client, *each)) for each in draw(st.lists(controls, max_size=2))]
            raw.append(data_frame(client, text, piece, at == len(pieces)))
    closing = draw(closes)
    if closing:
        raw.append(bytes(client.close(*closing)))
    return b"".join(raw)


def control(client, opcode, payload):
    return client.ping(payload) if opcode == PING else client.pong(payload)


def seen_by_wsproto(pieces):
    server, messages, held = Connection(ConnectionType.SERVER), [], []
    for piece in pieces:
        server.receive_data(piece)
        for event in server.events():
            if isinstance(event, TextMessage | BytesMessage):
                text = isinstance(event, TextMessage)
                held.append(event.data.encode() if text else bytes(event.data))
                if event.message_finished:
                    messages.append((TEXT if text else BINARY, b"".join(held)))
                    held.clear()
            elif isinstance(event, Ping | Pong):
                messages.append((PING if isinstance(event, Ping) else PONG, bytes(event.payload)))
            elif isinstance(event, CloseConnection):
                messages.append((CLOSE, event.code, event.reason or ""))
                return messages
    return messages


def seen_by_us(pieces, limit=64):
    """Return the messages (a close as code and reason) and the error's code."""
    parser, messages = Parser(MAX), []
    for piece in pieces:
        taken = parser.feed(piece, limit)
        messages += taken
        while parser.more:
            taken = parser.feed(b"", limit)
            assert len(taken) <= limit
            messages += taken
    shown = [
        (CLOSE, *parse_close(payload)) if opcode == CLOSE else (opcode, payload)
        for opcode, payload in messages
    ]
    return shown, parser.error and parser.error.code


@unhurried
@given(stream=streams(), where=places, limit=st.integers(1, 70))
def test_the_same_messages_as_wsproto_for_any_cuts(stream, where, limit):
    pieces = cut(stream, where)
    messages, error = seen_by_us(pieces, limit)
    assert error is None
    assert messages == seen_by_wsproto(pieces)
    assert (messages, error) == seen_by_us([stream])


@unhurried
@given(stream=streams().filter(lambda stream: len(stream) < 1000))
def test_byte_by_byte(stream):
    pieces = [stream[at : at + 1] for at in range(len(stream))]
    assert seen_by_us(pieces) == (seen_by_wsproto([stream]), None)


@unhurried
@given(stream=streams(), place=st.floats(0, 1), byte=st.integers(1, 255), where=places)
def test_one_wrong_byte_has_the_same_result_for_any_cuts(stream, place, byte, where):
    broken = bytearray(stream or b"\x81")
    broken[int(place * (len(broken) - 1))] ^= byte
    assert seen_by_us(cut(bytes(broken), where)) == seen_by_us([bytes(broken)])


# Heads that pass the first checks, so that the garbage after them is parsed too.
heads = st.sampled_from(
    [b"\x81\x80", b"\x81\xfe", b"\x01\x85", b"\x80\x83", b"\x00\x82", b"\x88\x82", b"\x89\x84", b"\x82\xff"]
)
garbage = st.lists(heads | st.binary(max_size=20), max_size=20).map(b"".join)


@settings(deadline=None, max_examples=300)
@given(stream=garbage, where=places, limit=st.integers(1, 5))
def test_garbage_never_raises_and_has_the_same_result_for_any_cuts(stream, where, limit):
    verdict = seen_by_us([stream])
    assert seen_by_us(cut(stream, where), limit) == verdict
    assert seen_by_us([stream[at : at + 1] for at in range(len(stream))]) == verdict
    assert verdict[1] in (None, 1002, 1007, 1009)
