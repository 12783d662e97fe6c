"""Decoding: every limit on a client's message, with its code and ref. Encoding: every message of the server."""

import contextlib
import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chat.wire import decoding
from chat.wire.codec import NATIVE
from chat.wire.decoding import MAX_ID, MAX_NAME, MAX_ROOM, MAX_USER_ID, has_control
from chat.wire.envelope import Envelope, Identity
from chat.wire.errors import FAILURES, ChatError
from tests.server_frames import frames, message

MAX_CHARS = 100
ANN, BOB = Identity("1", "ann"), Identity("2", '李 "b" \\ 😀')
#: The maximum size of a message: CHAT_MAX_MESSAGE_BYTES.
WHOLE = 131_072


def decode(value, max_chars=MAX_CHARS):
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return decoding.decode(text, max_chars)


def group(**fields):
    return {"type": 2, "data": "hi", **fields}


def direct(**fields):
    return {"type": 3, "to": "bob", "data": "hi", **fields}


# -- what is refused: name -> (message, code, ref)

NOT_JSON = {
    "nothing": b"",
    "blank": b"  \n",
    "a word": b"hello",
    "cut short": b'{"type":2',
    "something behind it": b'{"type":2,"data":"x"} {}',
    "a comma too many": b'{"type":2,"data":"x",}',
    "single quotes": b"{'type':2}",
    "NaN": b'{"type":NaN}',
    "Infinity": b'{"type":2,"data":"x","n":-Infinity}',
    "a number beyond all numbers": b'{"type":1e999}',
    "a lone surrogate, escaped": b'{"type":2,"data":"\\ud800"}',
    "a raw control character": b'{"type":2,"data":"\x00"}',
    "bytes that are no UTF-8": b'{"type":2,"data":"\xff"}',
    "a byte order mark": b'\xef\xbb\xbf{"type":2,"data":"x"}',
    "a deep array": b"[" * WHOLE,
    "a deep object": b'{"a":' * (WHOLE // 5),
    "deep and well formed": b"[" * 60_000 + b"]" * 60_000,
}
NOT_AN_OBJECT = {
    "an array": [],
    "an array of messages": [group()],
    "a text": "x",
    "a number": 2,
    "null": None,
}
NOT_A_TYPE = {
    "missing": {},
    "null": {"type": None},
    "true": {"type": True},
    "a float": {"type": 2.0},
    "a text": {"type": "2"},
    "a list": {"type": [2]},
    "huge": {"type": 10**30},
}
BAD_DATA = {"missing": {"type": 2}} | {
    kind: group(data=value)
    for kind, value in {"null": None, "number": 5, "list": ["a"], "object": {}}.items()
}
CONTROL = [0x00, 0x01, 0x08, 0x0B, 0x0C, 0x0E, 0x1B, 0x1F, 0x7F, 0x80, 0x9F]
BAD_IDS = {
    "empty": "",
    "too long": "x" * (MAX_ID + 1),
    "a number": 7,
    "true": True,
    "a list": ["a"],
    "a line feed": "a\nb",
    "a control character": "a\x00",
}
BAD_ROOMS = {
    "empty": "",
    "a number": 1,
    "an object": {},
    "too long": "r" * (MAX_ROOM + 1),
    "a line feed": "a\nb",
}
MISSING_TO = {"null": None, "empty": "", "blank": " ", "white": "\t \n　"}
BAD_TO = {
    "a number": 5,
    "false": False,
    "zero": 0,
    "a list": [],
    "too long": "n" * (MAX_NAME + 1),
    "control": "a\x00",
}
BAD_TO_IDS = {**BAD_TO, "empty": "", "blank": "\t", "too long": "i" * (MAX_USER_ID + 1)}


def rows():
    table = {
        "bad_json": NOT_JSON,
        "not_an_object": NOT_AN_OBJECT,
        "unknown_type": NOT_A_TYPE,
        "bad_data": BAD_DATA,
        "bad_id": {kind: group(id=value) for kind, value in BAD_IDS.items()},
        "bad_room": {kind: group(room=value) for kind, value in BAD_ROOMS.items()},
        "missing_to": {kind: direct(to=value) for kind, value in MISSING_TO.items()}
        | {"missing": {"type": 3, "data": "hi"}},
        "bad_to": {kind: direct(to=value) for kind, value in BAD_TO.items()}
        | {f"to_id, {kind}": direct(to_id=value) for kind, value in BAD_TO_IDS.items()},
        "bad_characters": {hex(point): group(data=f"a{chr(point)}b") for point in CONTROL},
        "too_long": {
            "by one": group(data="x" * (MAX_CHARS + 1)),
            "of emoji": group(data="😀" * (MAX_CHARS + 1)),
        },
    }
    for code, cases in table.items():
        for kind, bad in cases.items():
            yield pytest.param(bad, code, id=f"{code}: {kind}")


@pytest.mark.parametrize(("bad", "code"), list(rows()))
def test_bad_input_is_refused_with_its_code(bad, code):
    with pytest.raises(ChatError) as refused:
        decode(bad)
    assert (refused.value.code, refused.value.ref) == (code, None)


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ({"type": "2"}, "unknown_type"),
        ({"type": None}, "unknown_type"),
        (group(room=5), "bad_room"),
        (group(data=5), "bad_data"),
        (group(data="x" * 101), "too_long"),
        (group(data="\x00"), "bad_characters"),
        (direct(to=""), "missing_to"),
        (direct(to=5), "bad_to"),
        (direct(data=None), "bad_data"),
        (direct(data="x" * 101), "too_long"),
        ({"type": 9}, "bad_data"),
    ],
)
def test_bad_input_with_a_valid_id_is_refused_with_that_id_as_ref(bad, code):
    with pytest.raises(ChatError) as refused:
        decode({**bad, "id": "m1"})
    assert (refused.value.code, refused.value.ref) == (code, "m1")


@pytest.mark.parametrize("token", [None, "", 5, "x" * 8193])
def test_an_auth_needs_a_token(token):
    with pytest.raises(ChatError, match="bad_data"):
        decode({"type": 9, "data": token})


def test_an_unknown_type_is_decoded_and_left_to_the_handler_table():
    assert [decode({"type": kind}).type for kind in (-1, 0, 4, 5, 99, 2**63)] == [-1, 0, 4, 5, 99, 2**63]


# -- what is accepted


def test_a_group_message_of_the_original_protocol():
    envelope = decode(b'{"type":2,"data":"hi"}')
    assert (envelope.type, envelope.data) == (2, "hi")
    assert (envelope.room, envelope.to, envelope.id, envelope.user, envelope.seq) == (None,) * 5


def test_a_direct_message_with_every_field():
    envelope = decode(direct(id="m1", room="lobby", data="你好"))
    assert (envelope.type, envelope.to, envelope.data) == (3, "bob", "你好")
    assert (envelope.id, envelope.room) == ("m1", "lobby")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "x" * MAX_CHARS,
        "😀" * MAX_CHARS,
        "tab\tline\nfeed\r\n",
        "\u200d\u202e\ufeff",
        "<b>&amp;</b>",
        '"\\',
    ],
)
def test_allowed_texts(text):
    assert decode(group(data=text)).data == text


@pytest.mark.parametrize("id", ["x", "x" * MAX_ID, "with space", "编号", "😀"])
def test_ids_of_1_to_64_characters(id):
    assert decode(group(id=id)).id == id


def test_fields_that_a_type_does_not_have_are_ignored():
    envelope = decode({"type": 1, "to": 5, "data": {"deep": [1]}, "more": None})
    assert (envelope.to, envelope.data) == (None, None)
    assert decode(group(to=5)).to is None


def test_a_client_cannot_set_the_user():
    assert decode(group(user={"id": "2", "username": "bob"}, seq=5, ts=5)).user is None


def test_of_a_repeated_key_the_last_value_counts():
    envelope = decode(b'{"type":3,"to":"bob","data":"x","type":2,"data":"y"}')
    assert (envelope.type, envelope.data, envelope.to) == (2, "y", None)


def test_a_pair_of_surrogates_is_one_character():
    assert decode(b'{"type":2,"data":"\\ud83d\\ude00"}', max_chars=1).data == "😀"


HOSTILE = {
    "nested arrays": b"[" * WHOLE,
    "nested objects": b'{"a":' * (WHOLE // 5),
    "one endless number": b'{"type":' + b"1" * (WHOLE - 9) + b"}",
    "a number with an endless exponent": b'{"type":1e' + b"9" * (WHOLE - 11) + b"}",
    "empty arrays": b'{"type":1,"a":[' + b"[]," * (WHOLE // 3 - 10) + b"[]]}",
    "many keys": json.dumps({"type": 1, **{f"k{i}": i for i in range(8_000)}}).encode(),
    "escapes": b'{"type":2,"data":"' + b"\\u4e2d" * (WHOLE // 6 - 10) + b'"}',
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_json_of_maximum_size_is_decoded_or_refused(text):
    assert len(text) <= WHOLE
    with contextlib.suppress(ChatError):
        assert decoding.decode(text, 10_000).type == 1


@pytest.mark.parametrize("to", [{}, {"to": "bob"}, {"to": None}, {"to": ["bob"]}, {"to": "n" * 1000}])
def test_an_id_takes_the_place_of_a_name(to):
    envelope = decode({"type": 3, "data": "hi", **to, "to_id": "i" * MAX_USER_ID})
    assert (envelope.to, envelope.to_id) == (None, "i" * MAX_USER_ID)


def test_a_missing_id_leaves_the_name():
    envelope = decode(direct(to_id=None))
    assert (envelope.to, envelope.to_id) == ("bob", None)


def test_an_error_has_the_users_whom_an_ambiguous_name_fits():
    error = ChatError("ambiguous_to", "m1", users=(ANN, BOB))
    assert message(NATIVE.error(error, "zh")) == {
        "type": 0,
        "user": None,
        "data": FAILURES["ambiguous_to"].zh,
        "code": "ambiguous_to",
        "ref": "m1",
        "users": [ANN._asdict(), BOB._asdict()],
    }


# -- arbitrary input

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.fixed_dictionaries(
    {"type": st.sampled_from([1, 2, 3, 9]) | JSON},
    optional={name: st.text() | JSON for name in ("data", "to", "to_id", "id", "room")},
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(FIELDS | JSON)
@example({"type": 2, "data": "\ud800"})
def test_any_json_is_decoded_or_refused(value):
    check(json.dumps(value).encode())


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_decoded_or_refused(text):
    check(text)


def check(text):
    envelope, refused = outcome(text)
    if refused is not None:
        assert refused.code in FAILURES
        assert refused.ref is None or 0 < len(refused.ref) <= MAX_ID
        return
    assert type(envelope.type) is int
    assert envelope.id is None or 0 < len(envelope.id) <= MAX_ID
    if envelope.type in (2, 3):
        assert len(envelope.data) <= MAX_CHARS
        assert not has_control(envelope.data)
        NATIVE.chat(envelope)  # what was decoded can be encoded
    if envelope.type == 3:
        assert (envelope.to or envelope.to_id).strip()


def outcome(text):
    try:
        return decoding.decode(text, MAX_CHARS), None
    except ChatError as refused:
        return None, refused


# -- what the server sends


def test_the_welcome_is_byte_for_byte_the_original_servers():
    expected = '{"type":2,"user":null,"data":"欢迎欢迎,热烈欢迎,进入聊天室"}'
    assert frames(NATIVE.welcome()) == [(1, expected.encode())]


def outgoing(**fields):
    return Envelope(
        **{"type": 2, "data": "hi", "room": "lobby", "id": "m1", "user": ANN, "seq": 7, "ts": 1234} | fields
    )


def test_an_encoded_group_message():
    assert message(NATIVE.chat(outgoing())) == {
        "type": 2,
        "user": {"id": "1", "username": "ann"},
        "data": "hi",
        "room": "lobby",
        "seq": 7,
        "id": "m1",
        "ts": 1234,
    }


def test_an_encoded_direct_message():
    assert message(NATIVE.chat(outgoing(type=3, to="bob", room="dm:1:2"))) == {
        "type": 3,
        "user": {"id": "1", "username": "ann"},
        "to": "bob",
        "data": "hi",
        "room": "dm:1:2",
        "seq": 7,
        "id": "m1",
        "ts": 1234,
    }


def test_a_system_message_has_no_user_and_an_ephemeral_one_no_seq():
    out = message(NATIVE.chat(outgoing(user=None, seq=None)))
    assert out["user"] is None
    assert "seq" not in out


def test_an_ack():
    ack = {"type": 4, "ref": "m1", "id": "m1", "room": "lobby", "seq": 7, "ts": 1234}
    assert message(NATIVE.ack(outgoing())) == ack
    assert message(NATIVE.ack(outgoing(seq=None))) == {k: v for k, v in ack.items() if k != "seq"}


def test_an_error_with_and_without_its_optional_fields():
    row = FAILURES["rate_limited"]
    assert message(NATIVE.error(ChatError("rate_limited"), "en")) == {
        "type": 0,
        "user": None,
        "data": row.en,
        "code": "rate_limited",
    }
    full = message(NATIVE.error(ChatError("rate_limited", "m1", 1.23456), "zh"))
    assert full == {
        "type": 0,
        "user": None,
        "data": row.zh,
        "code": "rate_limited",
        "ref": "m1",
        "retry_after": 1.235,
    }


def test_a_roster_diff():
    assert message(NATIVE.roster_diff("lobby", [ANN], ["bob"])) == {
        "type": 5,
        "room": "lobby",
        "joined": [{"id": "1", "username": "ann"}],
        "left": ["bob"],
    }


def test_the_answer_to_an_auth():
    assert message(NATIVE.renewed(1234)) == {"type": 9, "data": 1234}
    assert message(NATIVE.renewed(None)) == {"type": 9, "data": None}  # a site's own token may never end


def test_a_group_list_is_json_text_inside_json_as_in_the_original_server():
    roster = NATIVE.make_list("lobby")
    for user in (ANN, BOB):
        roster.add(user)
    listing = message(roster.frame())
    assert {k: v for k, v in listing.items() if k != "data"} == {"type": 1, "user": None, "room": "lobby"}
    original = json.dumps([ANN._asdict(), BOB._asdict()], ensure_ascii=False, separators=(",", ":"))
    assert listing["data"] == original


def test_an_empty_group_list_is_an_empty_array():
    assert message(NATIVE.make_list("lobby").frame())["data"] == "[]"


def test_a_reset_group_list_equals_one_that_grew():
    grown, anew = NATIVE.make_list("房间"), NATIVE.make_list("房间")
    grown.add(ANN)
    grown.add(BOB)
    anew.add(Identity("3", "gone"))
    anew.reset([ANN, BOB])
    assert grown.frame() == anew.frame()


def test_a_group_list_is_encoded_once_for_each_change():
    roster = NATIVE.make_list("lobby")
    roster.add(ANN)
    first, version = roster.frame(), roster.version
    assert roster.frame() is first
    roster.add(BOB)
    assert roster.version > version
    assert roster.frame() != first
