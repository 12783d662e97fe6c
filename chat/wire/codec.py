"""The native wire: JSON text to Envelope and back. Every limit on a field of a client's message stands here.

docs/protocol.md lists the types and their fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import orjson

from .envelope import Envelope, Identity, MessageType
from .errors import ChatError, Failure
from .frames import text_frame, text_head

MAX_ID = 64
MAX_NAME = 64
#: A room's: a conversation is named by the ids of its two, which may be a site's own.
MAX_ROOM = 250
BACKSLASH, DEL = 0x5C, 0x7F
WELCOME = "欢迎欢迎,热烈欢迎,进入聊天室"

#: C0 and C1 control characters but tab, line feed and carriage return.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_LIST_END = b']"}'
# Plain integers: an enum's members compare more slowly.
_SINGLE_CHAT, _AUTH = int(MessageType.SINGLE_CHAT), int(MessageType.AUTH)
_JOIN, _READ = int(MessageType.JOIN), int(MessageType.READ)
_CHATS = frozenset((int(MessageType.GROUP_CHAT), _SINGLE_CHAT))
#: What carries a seq, or names the room that it is about.
_ROOM_TYPES = frozenset((_JOIN, int(MessageType.LEAVE), _READ))
MAX_SEQ = 2**53


def decode(text: bytes, max_chars: int) -> Envelope:
    """Read one client message; raise ChatError, with the message's id as `ref` where it has a good one.

    `text` is UTF-8 that the frame parser has checked. orjson stops at 1,024 levels of nesting, and the frame parser
    at CHAT_MAX_MESSAGE_BYTES, so that hostile JSON costs next to nothing.
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
    """Make an Envelope of the fields of a client message that `text` held; raise ChatError for one that is bad."""
    get = message.get
    room = get("room")
    if room is not None:
        _check_room(room, id)
    to = None
    data = get("data")
    if kind in _ROOM_TYPES:
        return _read_about_room(kind, message, id)
    if kind == _AUTH:
        data = _read_token(data, id)
    elif kind in _CHATS or type(data) is str:
        if kind == _SINGLE_CHAT:
            to = _read_to(get("to"), id)
        if type(data) is not str:
            raise ChatError("bad_data", id)
        if len(data) > max_chars:
            raise ChatError("too_long", id)
        # JSON escapes all control characters but DEL: most texts need no look at each character.
        unescaped = data.isascii() and BACKSLASH not in text and DEL not in text
        if not unescaped and has_control(data):
            raise ChatError("bad_characters", id)
    else:
        data = None
    return Envelope(kind, data, room, to, id)


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
    """Tell whether `text` holds a control character that no message may carry."""
    return not text.isprintable() and _CONTROL.search(text) is not None


def check_id(id: Any) -> None:
    """Raise ChatError unless `id` is what an id may be."""
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


def _read_token(data: Any, ref: str | None) -> str:
    if type(data) is not str or not data or len(data) > 8192:
        raise ChatError("bad_data", ref)
    return data


def user_json(user: Identity | None) -> dict[str, str] | None:
    """Return the user as others see it: `{id, username}`, or None for the house."""
    if user is None:
        return None
    id, username = user
    return {"id": id, "username": username}


def frame(message: dict[str, Any]) -> bytes:
    """Encode one server message as a whole text frame."""
    return text_frame(orjson.dumps(message))


def chat(envelope: Envelope) -> bytes:
    """Encode a group or a direct message (types 2 and 3) as a frame; `seq` is left out where the room gives none."""
    return text_frame(chat_json(envelope))


def chat_json(envelope: Envelope) -> bytes:
    """Return the fields of a group or a direct message as JSON."""
    message: dict[str, Any] = {"type": envelope.type, "user": user_json(envelope.user)}
    if envelope.to is not None:
        message["to"] = envelope.to
    message["data"] = envelope.data
    message["room"] = envelope.room
    if envelope.seq is not None:
        message["seq"] = envelope.seq
    message["id"] = envelope.id
    message["ts"] = envelope.ts
    return orjson.dumps(message)


def ack(envelope: Envelope) -> bytes:
    """Encode the Ack (type 4) of a message that carried an id."""
    message = {"type": 4, "ref": envelope.id, "id": envelope.id, "room": envelope.room, "ts": envelope.ts}
    if envelope.seq is not None:
        message["seq"] = envelope.seq
    return text_frame(orjson.dumps(message))


def error(failure: Failure, language: str, ref: str | None = None, retry_after: float | None = None) -> bytes:
    """Encode an Error (type 0); `retry_after` in seconds."""
    return frame(error_message(failure, language, ref, retry_after))


def error_message(
    failure: Failure, language: str, ref: str | None = None, retry_after: float | None = None
) -> dict[str, Any]:
    """Return the fields of an Error."""
    message: dict[str, Any] = {
        "type": 0,
        "user": None,
        "data": failure.sentence(language),
        "code": failure.code,
    }
    if ref is not None:
        message["ref"] = ref
    if retry_after is not None:
        message["retry_after"] = round(retry_after, 3)
    return message


def welcome() -> bytes:
    """Return the greeting that every newcomer gets: the original server's, without seq, never stored."""
    return _WELCOME


def roster_diff(room: str, joined: Iterable[Identity], left: Iterable[str]) -> bytes:
    """Encode a RosterDiff (type 5): users who came, names of those who went."""
    return frame(
        {"type": 5, "room": room, "joined": [user_json(user) for user in joined], "left": list(left)}
    )


def renewed(expires_ms: int | None) -> bytes:
    """Encode the answer to Auth (type 9): when the fresh token expires, in milliseconds, or null for never."""
    return frame({"type": 9, "data": expires_ms})


_WELCOME = frame({"type": 2, "user": None, "data": WELCOME})


class RosterList:
    """The roster of a room as one frame, encoded as it grows.

    `head` and `end` stand around the entries, which `entry` encodes. To add a user costs O(1), so that a newcomer's
    list needs no encoding of all the others; what left stays until `reset`, which each push of the roster begins with.
    """

    __slots__ = ("_head", "_end", "_entry", "_entries", "_frame", "version")

    def __init__(self, head: bytes, end: bytes, entry: Callable[[Identity], bytes]) -> None:
        self._head = head
        self._end = end
        self._entry = entry
        self._entries = bytearray()
        self._frame: bytes | None = None
        #: Grows with each change.
        self.version = 0

    def reset(self, users: Iterable[Identity]) -> None:
        """Begin anew with `users`."""
        self._entries = bytearray(b",".join(map(self._entry, users)))
        self._changed()

    def add(self, user: Identity) -> None:
        """Append one user."""
        if self._entries:
            self._entries += b","
        self._entries += self._entry(user)
        self._changed()

    def _changed(self) -> None:
        self._frame = None
        self.version += 1

    def frame(self) -> bytes:
        """Return the whole list as a frame, encoded at most once for each change."""
        if self._frame is None:
            # A crowd's list is large, and made for each newcomer: one copy, not one a step.
            size = len(self._head) + len(self._entries) + len(self._end)
            self._frame = b"".join((text_head(size), self._head, self._entries, self._end))
        return self._frame


def _escaped(user: Identity) -> bytes:
    entry = orjson.dumps(user_json(user))
    return orjson.dumps(entry.decode())[1:-1]


def group_list(room: str) -> RosterList:
    """Return an empty GroupList (type 1) of `room`: `data` is JSON text inside JSON, as the original server sent it."""
    return RosterList(
        b'{"type":1,"user":null,"room":' + orjson.dumps(room) + b',"data":"[', _LIST_END, _escaped
    )


class Codec(Protocol):
    """How one kind of client is spoken to: everything that the chat says, as frames."""

    @property
    def recoverable(self) -> bool:
        """Whether somebody who is away for a moment is to get later what is said now."""

    def welcome(self) -> bytes:
        """Return the greeting."""

    def chat(self, envelope: Envelope, skip: object = None) -> bytes:
        """Encode a message that is sent now; `skip` is the member who said it and shall not hear it again."""

    def draft(self, envelope: Envelope) -> Any:
        """Encode a message that waits for the flush, but for what depends on when it is sent."""

    def seal(self, drafts: list[Any]) -> bytes:
        """Return the frames of what was drafted and is sent now, in this order."""

    def sender_copy(self, envelope: Envelope) -> bytes:
        """Return what the sender of a stored direct message is told besides its Ack; nothing in most codecs."""

    def ack(self, envelope: Envelope) -> bytes:
        """Encode the Ack of a message whose sender wants one (`reply`)."""

    def error(self, error: ChatError, language: str) -> bytes:
        """Encode an Error, as an answer of its own where the request asked for one (`reply`)."""

    def roster_diff(self, room: str, joined: Iterable[Identity], left: Iterable[str]) -> bytes:
        """Encode who came and who went."""

    def renewed(self, expires_ms: int | None, reply: str | int | None = None) -> bytes:
        """Encode the answer to a fresh token."""

    def notice(
        self, kind: int, fields: dict[str, Any], ref: str | None = None, reply: str | int | None = None
    ) -> bytes:
        """Encode a message of `kind` that is about a room; `ref` and `reply` name the request that it answers."""

    def replay(self, envelope: Envelope) -> bytes:
        """Encode a message that others heard earlier."""

    def make_list(self, room: str) -> RosterList:
        """Return an empty roster list of `room`."""


class Native:
    """The codec of raw WebSocket clients."""

    recoverable = False

    def welcome(self) -> bytes:
        return welcome()

    def chat(self, envelope: Envelope, skip: object = None) -> bytes:
        return chat(envelope)

    def draft(self, envelope: Envelope) -> bytes:
        return chat(envelope)

    def seal(self, drafts: list[bytes]) -> bytes:
        return drafts[0] if len(drafts) == 1 else b"".join(drafts)

    def sender_copy(self, envelope: Envelope) -> bytes:
        return b""

    def ack(self, envelope: Envelope) -> bytes:
        return ack(envelope)

    def error(self, error: ChatError, language: str) -> bytes:
        return frame(error_message(error.failure, language, error.ref, error.retry_after))

    def roster_diff(self, room: str, joined: Iterable[Identity], left: Iterable[str]) -> bytes:
        return roster_diff(room, joined, left)

    def renewed(self, expires_ms: int | None, reply: str | int | None = None) -> bytes:
        return renewed(expires_ms)

    def notice(
        self, kind: int, fields: dict[str, Any], ref: str | None = None, reply: str | int | None = None
    ) -> bytes:
        message = {"type": int(kind), **fields}
        if ref is not None:
            message["ref"] = ref
        return frame(message)

    def replay(self, envelope: Envelope) -> bytes:
        return chat(envelope)

    def make_list(self, room: str) -> RosterList:
        return group_list(room)


NATIVE = Native()
