"""Client messages of the native wire: JSON text to Envelope, with every limit on a field.

docs/protocol.md lists the types and their fields.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from .envelope import Envelope, MessageType
from .errors import ChatError

MAX_ID = 64
MAX_NAME = 64
#: Characters of a user's id: a site chooses those of its own users.
MAX_USER_ID = 250
#: Characters of a room's name: a direct conversation is named by two ids, which may be a site's own.
MAX_ROOM = 250
#: Characters of a token.
MAX_TOKEN = 8192
MAX_SEQ = 2**53

_BACKSLASH, _DEL = 0x5C, 0x7F
#: C0 and C1 control characters but tab, line feed and carriage return.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
# Plain integers: members of an enum compare more slowly.
_SINGLE_CHAT, _AUTH = int(MessageType.SINGLE_CHAT), int(MessageType.AUTH)
_JOIN, _READ = int(MessageType.JOIN), int(MessageType.READ)
_CHATS = frozenset((int(MessageType.GROUP_CHAT), _SINGLE_CHAT))
#: Types that are about a room without a text.
_ROOM_TYPES = frozenset((_JOIN, int(MessageType.LEAVE), _READ))


def decode(text: bytes, max_chars: int) -> Envelope:
    """Decode one client message; raise ChatError, with the message's id as `ref` if it has a valid one.

    `text` is UTF-8 that the frame parser has checked. Hostile JSON is cheap: orjson stops at 1,024 levels of nesting,
    and the frame parser at CHAT_MAX_MESSAGE_BYTES.
    """
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise ChatError("bad_json") from None
    if type(message) is not dict:
        raise ChatError("not_an_object")
    get = message.get
    id = get("id")
    if id is not None:
        check_id(id)
    kind = get("type")
    if type(kind) is not int:
        raise ChatError("unknown_type", id)
    return read(kind, message, id, text, max_chars)


def read(kind: int, message: dict[str, Any], id: str | None, text: bytes, max_chars: int) -> Envelope:
    """Return the Envelope of a client message, given its fields and its `text`; raise ChatError for a bad field."""
    get = message.get
    room = get("room")
    if room is not None:
        _check_room(room, id)
    to = to_id = None
    data = get("data")
    if kind in _ROOM_TYPES:
        return _read_about_room(kind, message, id)
    if kind == _AUTH:
        data = _read_token(data, id)
    elif kind in _CHATS or type(data) is str:
        if kind == _SINGLE_CHAT:
            to_id = get("to_id")
            if to_id is None:
                to = _read_to(get("to"), id)
            else:
                _check_user_id(to_id, id)
        if type(data) is not str:
            raise ChatError("bad_data", id)
        if len(data) > max_chars:
            raise ChatError("too_long", id)
        # JSON escapes all control characters but DEL, so that most texts need no check of each character.
        unescaped = data.isascii() and _BACKSLASH not in text and _DEL not in text
        if not unescaped and has_control(data):
            raise ChatError("bad_characters", id)
    else:
        data = None
    envelope = Envelope(kind, data, room, to, id)
    envelope.to_id = to_id
    return envelope


def _read_about_room(kind: int, message: dict[str, Any], id: str | None) -> Envelope:
    room, seq, epoch = message.get("room"), None, None
    if room is None:
        raise ChatError("bad_room", id)
    if kind == _JOIN:
        seq, epoch = message.get("since"), message.get("epoch")
        if not (seq is None or _is_seq(seq)) or not (epoch is None or type(epoch) is str):
            raise ChatError("bad_since", id)
    elif kind == _READ:
        seq = message.get("seq")
        if not _is_seq(seq):
            raise ChatError("bad_seq", id)
    return Envelope(kind, epoch, room, None, id, seq=seq)


def _is_seq(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_SEQ


def has_control(text: str) -> bool:
    """Return whether `text` contains a control character that no message may carry."""
    return not text.isprintable() and _CONTROL.search(text) is not None


def check_id(id: Any) -> None:
    """Raise ChatError unless `id` is a valid message id."""
    if type(id) is not str or not 0 < len(id) <= MAX_ID or not id.isprintable():
        raise ChatError("bad_id")


def _check_room(room: Any, ref: str | None) -> None:
    if type(room) is not str or not 0 < len(room) <= MAX_ROOM or not room.isprintable():
        raise ChatError("bad_room", ref)


def _read_to(to: Any, ref: str | None) -> str:
    if type(to) is str and 0 < len(to) <= MAX_NAME and to.isprintable() and not to.isspace():
        return to
    if to is None or to == "":
        raise ChatError("missing_to", ref)
    if type(to) is not str or len(to) > MAX_NAME or has_control(to):
        raise ChatError("bad_to", ref)
    if to.isspace():
        raise ChatError("missing_to", ref)
    return to


def _check_user_id(to_id: Any, ref: str | None) -> None:
    if type(to_id) is not str or not 0 < len(to_id) <= MAX_USER_ID or not to_id.isprintable():
        raise ChatError("bad_to", ref)


def _read_token(data: Any, ref: str | None) -> str:
    if type(data) is not str or not data or len(data) > MAX_TOKEN:
        raise ChatError("bad_data", ref)
    return data
