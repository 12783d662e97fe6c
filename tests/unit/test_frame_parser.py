"""Each rule of RFC 6455 that chat/wire/frame_parser.py checks, one case each: fed whole, byte by byte, in pairs."""

import time

import pytest

from chat.wire.frame_parser import BYTES_PER_FRAGMENT, MAX_FRAGMENTS, Parser
from chat.wire.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    ProtocolError,
    parse_close,
)
from chat.wire.masking import unmask

MAX = 1000
KEY = b"\x37\xfa\x21\x3d"


def sent(payload=b"", opcode=TEXT, *, fin=True, masked=True, reserved=0, form=None, size=None):
    """Return a frame as a client sends it; `form` forces 7, 16 or 64 bits of length, `size` claims one."""
    size = len(payload) if size is None else size
    form = form or (7 if size < 126 else 16 if size < 0x10000 else 64)
    head = bytes(
        (fin << 7 | reserved << 4 | opcode, masked << 7 | (size if form == 7 else 126 if form == 16 else 127))
    )
    if form > 7:
        head += size.to_bytes(form // 8, "big")
    if not masked:
        return head + payload
    return head + KEY + bytes(byte ^ KEY[at % 4] for at, byte in enumerate(payload))


def fed(parser, stream, step=None):
    step = step or len(stream) or 1
    messages = []
    for at in range(0, len(stream), step):
        messages += parser.feed(stream[at : at + step], limit=len(stream))
    return messages


@pytest.fixture(params=[None, 1, 2], ids=["whole", "byte by byte", "in pairs"])
def step(request):
    return request.param


LONG = bytes(range(97, 122)) * 40

GOOD = {
    "empty text": (sent(), [(TEXT, b"")]),
    "empty binary": (sent(opcode=BINARY), [(BINARY, b"")]),
    "RFC 5.7's masked Hello": (bytes.fromhex("818537fa213d7f9f4d5158"), [(TEXT, b"Hello")]),
    "one byte": (sent(b"x"), [(TEXT, b"x")]),
    "longest of 7 bits": (sent(LONG[:125]), [(TEXT, LONG[:125])]),
    "shortest of 16 bits": (sent(LONG[:126]), [(TEXT, LONG[:126])]),
    "127 bytes": (sent(LONG[:127]), [(TEXT, LONG[:127])]),
    "longest allowed": (sent(LONG), [(TEXT, LONG)]),
    "binary of 16 bits": (sent(LONG, BINARY), [(BINARY, LONG)]),
    "chinese": (sent("欢迎欢迎".encode()), [(TEXT, "欢迎欢迎".encode())]),
    "not UTF-8, but binary": (sent(b"\xff\xfe", BINARY), [(BINARY, b"\xff\xfe")]),
    "several at once": (
        sent(b"a") + sent(b"b") + sent(b"c", BINARY),
        [(TEXT, b"a"), (TEXT, b"b"), (BINARY, b"c")],
    ),
    "ping": (sent(b"p" * 125, PING), [(PING, b"p" * 125)]),
    "empty ping": (sent(opcode=PING), [(PING, b"")]),
    "pong": (sent(b"p", PONG), [(PONG, b"p")]),
    "two fragments": (sent(b"ab", fin=False) + sent(b"cd", CONTINUATION), [(TEXT, b"abcd")]),
    "binary fragments": (
        sent(b"\xff", BINARY, fin=False) + sent(b"\xfe", CONTINUATION),
        [(BINARY, b"\xff\xfe")],
    ),
    "empty fragments": (
        sent(fin=False) + sent(opcode=CONTINUATION, fin=False) + sent(opcode=CONTINUATION),
        [(TEXT, b"")],
    ),
    "fragments up to the limit": (
        sent(LONG[:600], fin=False) + sent(LONG[600:], CONTINUATION),
        [(TEXT, LONG)],
    ),
    "ping between fragments": (
        sent(b"a", fin=False) + sent(b"p", PING) + sent(b"b", CONTINUATION),
        [(PING, b"p"), (TEXT, b"ab")],
    ),
    "character cut by fragments": (
        sent("é".encode()[:1], fin=False) + sent("é".encode()[1:], CONTINUATION),
        [(TEXT, "é".encode())],
    ),
    "character of four bytes in four fragments": (
        b"".join(
            sent(bytes((byte,)), TEXT if not at else CONTINUATION, fin=at == 3)
            for at, byte in enumerate("😀".encode())
        ),
        [(TEXT, "😀".encode())],
    ),
    "a message after a fragmented one": (
        sent(b"a", fin=False) + sent(b"b", CONTINUATION) + sent(b"c"),
        [(TEXT, b"ab"), (TEXT, b"c")],
    ),
    "empty close": (sent(opcode=CLOSE), [(CLOSE, b"")]),
    "close with a reason": (sent(b"\x03\xe8bye", CLOSE), [(CLOSE, b"\x03\xe8bye")]),
    "close between fragments": (sent(b"a", fin=False) + sent(opcode=CLOSE), [(CLOSE, b"")]),
    "nothing after a close": (sent(b"a") + sent(opcode=CLOSE) + sent(b"b"), [(TEXT, b"a"), (CLOSE, b"")]),
    "not even garbage after a close": (sent(opcode=CLOSE) + b"\xff\xff\xff", [(CLOSE, b"")]),
}


@pytest.mark.parametrize(("stream", "expected"), GOOD.values(), ids=GOOD)
def test_messages(stream, expected, step):
    parser = Parser(MAX)
    assert fed(parser, stream, step) == expected
    assert parser.error is None
    assert not parser.partial
    assert not parser.more


def close(code, reason=b""):
    return sent(code.to_bytes(2, "big") + reason, CLOSE)


BAD = {
    "reserved bit 1": (sent(b"a", reserved=4), 1002),
    "reserved bit 2": (sent(b"a", reserved=2), 1002),
    "reserved bit 3": (sent(b"a", reserved=1), 1002),
    "reserved bit of a control frame": (sent(b"a", PING, reserved=4), 1002),
    **{
        f"reserved opcode {opcode}": (sent(b"a", opcode), 1002)
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    },
    "not masked": (sent(b"a", masked=False), 1002),
    "not masked and empty": (sent(masked=False), 1002),
    "ping not masked": (sent(opcode=PING, masked=False), 1002),
    "16 bits for 125": (sent(LONG[:125], form=16), 1002),
    "16 bits for none": (sent(form=16), 1002),
    "64 bits for 125": (sent(LONG[:125], form=64), 1002),
    "64 bits for 1000": (sent(LONG, form=64), 1002),
    "64 bits for 65535": (sent(form=64, size=65535), 1002),
    "top bit of 64": (sent(form=64, size=1 << 63), 1002),
    "ping of 126": (sent(LONG[:126], PING), 1002),
    "ping with 64 bits": (sent(b"a", PING, form=64), 1002),
    "close of 126": (close(1000, LONG[:124]), 1002),
    "ping in fragments": (sent(b"a", PING, fin=False), 1002),
    "close in fragments": (sent(opcode=CLOSE, fin=False), 1002),
    "continues nothing": (sent(b"a", CONTINUATION), 1002),
    "continues nothing, and goes on": (sent(b"a", CONTINUATION, fin=False), 1002),
    "continues a whole message": (sent(b"a") + sent(b"b", CONTINUATION), 1002),
    "text inside fragments": (sent(b"a", fin=False) + sent(b"b"), 1002),
    "binary inside fragments": (sent(b"a", fin=False) + sent(b"b", BINARY), 1002),
    "new fragments inside fragments": (sent(b"a", fin=False) + sent(b"b", fin=False), 1002),
    "too big": (sent(LONG + b"x"), 1009),
    "too big in binary": (sent(LONG + b"x", BINARY), 1009),
    "too big together": (sent(LONG, fin=False) + sent(b"x", CONTINUATION), 1009),
    "too big by far": (sent(size=(1 << 63) - 1), 1009),
    "too many empty fragments": (
        sent(fin=False) + sent(opcode=CONTINUATION, fin=False) * (MAX_FRAGMENTS + MAX // BYTES_PER_FRAGMENT),
        1009,
    ),
    "invalid UTF-8": (sent(b"a\xffb"), 1007),
    "UTF-8 cut short": (sent(b"\xe4\xbd"), 1007),
    "surrogate": (sent(b"\xed\xa0\x80"), 1007),
    "overlong": (sent(b"\xc0\xaf"), 1007),
    "beyond U+10FFFF": (sent(b"\xf4\x90\x80\x80"), 1007),
    "invalid UTF-8 of 16 bits": (sent(LONG[:200] + b"\xff"), 1007),
    "invalid UTF-8 in the first fragment": (sent(b"\xff", fin=False), 1007),
    "invalid UTF-8 in the second fragment": (
        sent(b"a", fin=False) + sent(b"\xff", CONTINUATION, fin=False),
        1007,
    ),
    "fragments that end within a character": (sent(b"\xe4", fin=False) + sent(b"\xbd", CONTINUATION), 1007),
    "a character cut and not continued": (sent(b"\xe4", fin=False) + sent(b"a", CONTINUATION), 1007),
    "surrogate cut by fragments": (sent(b"\xed", fin=False) + sent(b"\xa0", CONTINUATION, fin=False), 1007),
    "close of one byte": (sent(b"\x03", CLOSE), 1002),
    **{
        f"close with {code}": (close(code), 1002)
        for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    },
    "close with a reason not UTF-8": (close(1000, b"\xff"), 1007),
}


@pytest.mark.parametrize(("stream", "code"), BAD.values(), ids=BAD)
def test_violations(stream, code, step):
    parser = Parser(MAX)
    before = fed(parser, sent(b"before"), step)
    after = fed(parser, stream + sent(b"after"), step)
    assert before == [(TEXT, b"before")]
    assert (TEXT, b"after") not in after
    assert parser.error.code == code
    assert 0 < len(parser.error.reason) <= 123
    assert not parser.partial


HEADS = {
    "reserved bit": (sent(b"a", reserved=4)[:2], 1002),
    "not masked": (sent(b"a", masked=False)[:2], 1002),
    "control too long": (sent(LONG[:126], PING)[:2], 1002),
    "not the shortest form": (sent(b"a", form=16)[:4], 1002),
    "top bit": (sent(form=64, size=1 << 63)[:10], 1002),
    "too big of 16 bits": (sent(LONG + b"x")[:4], 1009),
    "too big of 64 bits": (sent(size=1 << 40)[:10], 1009),
    "too big together": (sent(LONG, fin=False) + sent(LONG[:200], CONTINUATION)[:4], 1009),
}


@pytest.mark.parametrize(("stream", "code"), HEADS.values(), ids=HEADS)
def test_a_bad_head_is_refused_before_its_payload_arrives(stream, code, step):
    parser = Parser(MAX)
    assert fed(parser, stream, step) == []
    assert parser.error.code == code


def test_the_size_limit_applies_below_126_bytes_too():
    parser = Parser(10)
    assert parser.feed(sent(b"x" * 10)) == [(TEXT, b"x" * 10)]
    parser.feed(sent(b"x" * 11))
    assert parser.error.code == 1009


def test_control_frames_do_not_count_against_the_message_limit():
    parser = Parser(10)
    assert parser.feed(sent(b"p" * 125, PING)) == [(PING, b"p" * 125)]


def test_messages_before_an_error_are_returned_with_it():
    parser = Parser(MAX)
    assert parser.feed(sent(b"a") + sent(b"b") + sent(b"\xff") + sent(b"c")) == [(TEXT, b"a"), (TEXT, b"b")]
    assert parser.error.code == 1007


def test_an_error_after_the_limit_is_reported_by_a_later_call():
    parser = Parser(MAX)
    assert parser.feed(sent(b"a") + sent(b"\xff"), limit=1) == [(TEXT, b"a")]
    assert parser.error is None
    assert parser.more
    assert not parser.partial
    assert parser.feed(b"") == []
    assert parser.error.code == 1007
    assert not parser.more


def test_nothing_is_parsed_after_an_error():
    parser = Parser(MAX)
    parser.feed(sent(b"a", reserved=1))
    first = parser.error
    assert parser.feed(sent(b"b")) == []
    assert parser.feed(sent(b"\xff")) == []
    assert parser.error is first


def test_nothing_is_parsed_after_a_close_in_a_later_feed():
    parser = Parser(MAX)
    assert parser.feed(sent(opcode=CLOSE)) == [(CLOSE, b"")]
    assert parser.feed(sent(b"a") + b"\xff\xff") == []
    assert parser.error is None


def test_the_limit_leaves_the_rest_for_the_next_call():
    parser = Parser(MAX)
    stream = b"".join(sent(b"%d" % n) for n in range(10))
    assert parser.feed(stream, limit=4) == [(TEXT, b"%d" % n) for n in range(4)]
    assert parser.more
    assert parser.feed(b"", limit=4) == [(TEXT, b"%d" % n) for n in range(4, 8)]
    assert parser.more
    assert parser.feed(b"", limit=4) == [(TEXT, b"8"), (TEXT, b"9")]
    assert not parser.more
    assert parser.feed(b"") == []


def test_a_limit_reached_with_the_last_byte_leaves_nothing():
    parser = Parser(MAX)
    assert len(parser.feed(sent(b"a") * 4, limit=4)) == 4
    assert not parser.more
    assert not parser.partial


def test_bytes_fed_while_more_is_set_come_after_the_rest():
    parser = Parser(MAX)
    third = sent(b"c")
    assert parser.feed(sent(b"a") + sent(b"b") + third[:3], limit=1) == [(TEXT, b"a")]
    assert parser.feed(third[3:] + sent(b"d")) == [(TEXT, b"b"), (TEXT, b"c"), (TEXT, b"d")]
    assert not parser.more


def test_half_a_frame_after_the_limit_becomes_partial():
    parser = Parser(MAX)
    parser.feed(sent(b"a") + sent(b"b")[:3], limit=1)
    assert parser.feed(b"") == []
    assert not parser.more
    assert parser.partial
    assert parser.feed(sent(b"b")[3:]) == [(TEXT, b"b")]


def test_partial_is_true_for_half_a_frame():
    parser = Parser(MAX)
    assert not parser.partial
    parser.feed(sent(b"ab")[:1])
    assert parser.partial
    parser.feed(sent(b"ab")[1:])
    assert not parser.partial


def test_partial_is_true_for_half_a_message():
    parser = Parser(MAX)
    parser.feed(sent(b"a", fin=False))
    assert parser.partial
    parser.feed(sent(b"p", PING))
    assert parser.partial
    parser.feed(sent(b"b", CONTINUATION))
    assert not parser.partial


def fragmented(count):
    return (
        sent(b"a", fin=False) + sent(b"a", CONTINUATION, fin=False) * (count - 2) + sent(b"a", CONTINUATION)
    )


@pytest.mark.parametrize("size", [2_000, 131_072])
def test_a_message_has_a_maximum_of_fragments(size):
    most = MAX_FRAGMENTS + size // BYTES_PER_FRAGMENT
    assert fed(Parser(size), fragmented(most)) == [(TEXT, b"a" * most)]
    parser = Parser(size)
    assert fed(parser, fragmented(most + 1)) == []
    assert parser.error.code == 1009


def test_the_limit_of_a_call_counts_fragments_too():
    parser = Parser(MAX)
    assert parser.feed(fragmented(9), limit=4) == []
    assert parser.more
    assert parser.feed(b"", limit=4) == []
    assert parser.more
    assert parser.feed(b"", limit=4) == [(TEXT, b"a" * 9)]
    assert parser.idle


def test_single_bytes_cost_no_more_than_their_size():
    size = 1 << 19
    parser = Parser(size)
    started = time.perf_counter()
    assert fed(parser, sent(b"x" * size), 1) == [(TEXT, b"x" * size)]
    assert (
        time.perf_counter() - started < 3
    )  # 0.1 s; copying the held bytes for each new one takes 20 s and more


def test_an_idle_parser_holds_no_buffer():
    parser = Parser(MAX)
    parser.feed(sent(b"a")[:3])
    parser.feed(sent(b"a")[3:])
    assert parser._held is Parser(MAX)._held
    assert not hasattr(parser, "__dict__")


def test_payloads_are_bytes_for_any_step(step):
    stream = sent(b"a") + sent(b"b", BINARY, fin=False) + sent(b"c", CONTINUATION) + sent(b"d", PING)
    assert {type(payload) for _, payload in fed(Parser(MAX), stream, step)} == {bytes}


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 125, 4095, 4096, 4097, 8192, 8195, 60000])
def test_unmask(size):
    payload = bytes(n * 7 & 0xFF for n in range(size))
    assert unmask(payload, KEY) == bytes(byte ^ KEY[at % 4] for at, byte in enumerate(payload))


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 4401, 4999])
def test_parse_close(code):
    assert parse_close(code.to_bytes(2, "big")) == (code, "")
    assert parse_close(code.to_bytes(2, "big") + "再见".encode()) == (code, "再见")


def test_parse_close_of_an_empty_payload():
    assert parse_close(b"") == (1005, "")


@pytest.mark.parametrize(
    ("payload", "code"),
    [(b"\x03", 1002), (b"\x03\xed", 1002), (b"\x13\x88", 1002), (b"\x03\xe8\xff", 1007)],
    ids=["one byte", "1005", "5000", "reason not UTF-8"],
)
def test_parse_close_refuses(payload, code):
    with pytest.raises(ProtocolError) as caught:
        parse_close(payload)
    assert caught.value.code == code
