"""Packets of Socket.IO 5, without I/O: text in, values out, and frames to send.

The rules are those of the Socket.IO protocol, revision 5.
"""

from __future__ import annotations

import base64
from typing import Any, NamedTuple

import orjson

from ..wire.frames import BINARY, frame, text_frame
from .engine_packets import MESSAGE, PacketError

CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK = range(7)
_WITH_ATTACHMENTS = (BINARY_EVENT, BINARY_ACK)
#: Attachments of one packet, and digits of an ack id (a double holds 15 of them exactly).
MAX_ATTACHMENTS = 100
MAX_ID_DIGITS = 15
#: Levels of nesting that are searched for attachments.
MAX_DEPTH = 64
#: Names that only the library itself may emit: a client that sends one breaks the protocol.
RESERVED = frozenset(
    ("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener")
)

_DIGITS = frozenset(b"0123456789")


class Packet(NamedTuple):
    """One Socket.IO packet. `data` is the list of an event (name first) or of an ack, else an object or None."""

    type: int
    namespace: str = "/"
    data: Any = None
    id: int | None = None
    attachments: int = 0
    #: What a client wrote behind the namespace's name: `/news?lang=en` has "lang=en".
    query: str = ""


# ---- decoding --------------------------------------------------------------------------------------------------


def decode(text: bytes) -> Packet:
    """Decode the text part of a packet, UTF-8 without Engine.IO's type; raise PacketError for a malformed one.

    `<type>[<attachments>-][<namespace>,][<ack id>][<JSON>]`
    """
    if not text or text[0] not in b"0123456":
        raise PacketError("unknown packet type")
    kind = text[0] - 48
    at, attachments = _attachments(text, 1) if kind in _WITH_ATTACHMENTS else (1, 0)
    namespace, query = "/", ""
    if text[at : at + 1] == b"/":
        end = text.find(b",", at)
        end = len(text) if end < 0 else end
        namespace, _, query = text[at:end].decode().partition("?")
        at = min(end + 1, len(text))
    at, id = _id(text, at)
    data = _json(text[at:])
    _check(kind, data, id)
    return Packet(kind, namespace, data, id, attachments, query)


def _attachments(text: bytes, at: int) -> tuple[int, int]:
    end = text.find(b"-", at, at + 8)
    if end < 0 or not text[at:end].isdigit() or int(text[at:end]) > MAX_ATTACHMENTS:
        raise PacketError("bad number of attachments")
    return end + 1, int(text[at:end])


def _id(text: bytes, at: int) -> tuple[int, int | None]:
    end, stop = at, min(len(text), at + MAX_ID_DIGITS + 1)
    while end < stop and text[end] in _DIGITS:
        end += 1
    if end == at:
        return at, None
    if end - at > MAX_ID_DIGITS:
        raise PacketError("ack id too long")
    return end, int(text[at:end])


def _json(text: bytes) -> Any:
    if not text:
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise PacketError("not JSON") from None


def _check(kind: int, data: Any, id: int | None) -> None:
    if kind == CONNECT:
        good = (data is None or type(data) is dict) and id is None
    elif kind == DISCONNECT:
        good = data is None and id is None
    elif kind in (EVENT, BINARY_EVENT):
        good = type(data) is list and bool(data) and _is_event_name(data[0])
    elif kind in (ACK, BINARY_ACK):
        good = type(data) is list and id is not None
    else:
        good = False  # CONNECT_ERROR: only servers send it
    if not good:
        raise PacketError("bad payload")


def _is_event_name(name: Any) -> bool:
    return type(name) is int or (type(name) is str and name not in RESERVED)


class Assembly:
    """A packet that waits for its attachments since `began`, monotonic seconds. It holds `held` bytes.

    It keeps the packet's text, because a decoded packet may be many times as large.
    """

    __slots__ = ("_buffers", "_text", "began", "is_wanted", "missing", "size")

    def __init__(self, text: bytes, count: int, began: float = 0.0, is_wanted: bool = True) -> None:
        self._text = text if is_wanted else b""
        self._buffers: list[bytes] = []
        self.began = began
        #: False for a packet that was refused: its attachments are discarded.
        self.is_wanted = is_wanted
        #: Attachments that have yet to come.
        self.missing = count
        #: Bytes of the attachments.
        self.size = 0

    @property
    def held(self) -> int:
        """Bytes of the text and of the attachments so far."""
        return len(self._text) + self.size

    def add(self, attachment: bytes) -> None:
        """Add the next attachment."""
        self.missing -= 1
        if self.is_wanted:
            self._buffers.append(attachment)
            self.size += len(attachment)

    def finish(self) -> Packet:
        """Return the packet with its attachments in place of their placeholders. Raises PacketError for a bad one."""
        packet = decode(self._text)
        _fill(packet.data, self._buffers)
        return packet._replace(type=EVENT if packet.type == BINARY_EVENT else ACK, attachments=0)


def _fill(data: list[Any], buffers: list[bytes]) -> None:
    """Put the attachments in their places, level by level and without a copy: a packet may hold 40,000 lists."""
    level: list[Any] = [data]
    for _ in range(MAX_DEPTH):
        deeper: list[Any] = []
        for container in level:
            places = container.items() if type(container) is dict else enumerate(container)
            for place, value in places:
                if type(value) is dict and value.get("_placeholder") is True:
                    container[place] = _buffer(value.get("num"), buffers)
                elif type(value) is dict or type(value) is list:
                    deeper.append(value)
        if not deeper:
            return
        level = deeper
    raise PacketError("nested too deeply")


def _buffer(number: Any, buffers: list[bytes]) -> bytes:
    if type(number) is not int or not 0 <= number < len(buffers):
        raise PacketError("illegal attachments")
    return buffers[number]


# ---- encoding --------------------------------------------------------------------------------------------------


class Prepared(NamedTuple):
    """The list of an event or an ack as JSON, and the attachments that its placeholders refer to."""

    json: bytes
    buffers: list[bytes]

    def as_texts(self) -> tuple[str, list[str]]:
        """Return it as texts, which JSON can hold."""
        return self.json.decode(), [base64.b64encode(buffer).decode() for buffer in self.buffers]

    @classmethod
    def of_texts(cls, json: str, buffers: list[str]) -> Prepared:
        """Return the Prepared that `as_texts` was called on."""
        return cls(json.encode(), [base64.b64decode(buffer) for buffer in buffers])


def prepare(data: Any) -> Prepared:
    """Encode the list of an event or an ack, `bytes` in it as attachments; TypeError for what JSON cannot hold."""
    buffers: list[bytes] = []
    if _has_bytes(data):
        data = _extract(data, buffers)
    return Prepared(orjson.dumps(data), buffers)


def prepare_event(event: str, args: tuple[Any, ...]) -> Prepared:
    """Encode an event that the site emits; ValueError for a name that clients keep for themselves."""
    if event in RESERVED:
        raise ValueError(f"{event!r} is a name of Socket.IO's own; no event can have it.")
    return prepare([event, *args])


def restore(prepared: Prepared) -> Any:
    """Return the list that `prepare` was called with, tuples as lists."""
    data = orjson.loads(prepared.json)
    _fill(data, prepared.buffers)
    return data


def assemble(
    kind: int, namespace_prefix: bytes, id: int | None, prepared: Prepared, offset: bytes | None = None
) -> bytes:
    """Return the frames of an EVENT or an ACK, with `offset` as one more text argument where there is one."""
    json, buffers = prepared
    if offset is not None:
        json = b'%b,"%b"]' % (json[:-1], offset)
    if buffers:
        kind = BINARY_EVENT if kind == EVENT else BINARY_ACK
    count = b"%d-" % len(buffers) if buffers else b""
    number = b"" if id is None else b"%d" % id
    text = text_frame(b"%b%d%b%b%b%b" % (MESSAGE, kind, count, namespace_prefix, number, json))
    return text + b"".join(frame(BINARY, buffer) for buffer in buffers) if buffers else text


def encode(packet: Packet) -> bytes:
    """Return the frames of `packet`: one of text, and one for each `bytes` in its data."""
    if packet.type in (EVENT, ACK):
        return assemble(packet.type, prefix(packet.namespace), packet.id, prepare(packet.data))
    json = b"" if packet.data is None else orjson.dumps(packet.data)
    return text_frame(b"%b%d%b%b" % (MESSAGE, packet.type, prefix(packet.namespace), json))


def prefix(namespace: str) -> bytes:
    """Return how a packet names `namespace`: empty for the main one."""
    return b"" if namespace == "/" else namespace.encode() + b","


def _has_bytes(value: Any, depth: int = MAX_DEPTH) -> bool:
    if isinstance(value, bytes | bytearray | memoryview):
        return True
    if not depth:
        raise TypeError("An event's arguments are nested too deeply.")
    if isinstance(value, list | tuple):
        return any(_has_bytes(item, depth - 1) for item in value)
    if isinstance(value, dict):
        return any(_has_bytes(item, depth - 1) for item in value.values())
    return False


def _extract(value: Any, buffers: list[bytes]) -> Any:
    """Return `value` with a placeholder for each of its `bytes`, which are added to `buffers`."""
    if isinstance(value, bytes | bytearray | memoryview):
        buffers.append(bytes(value))
        return {"_placeholder": True, "num": len(buffers) - 1}
    if isinstance(value, list | tuple):
        return [_extract(item, buffers) for item in value]
    if isinstance(value, dict):
        return {key: _extract(item, buffers) for key, item in value.items()}
    return value
