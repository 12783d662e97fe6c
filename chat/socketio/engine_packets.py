"""Packets and long-polling payloads of Engine.IO 4, without I/O: bytes in, values out.

Whatever the transport, a packet is kept as the WebSocket frames that carry it. So a broadcast is the same bytes for
every client, and only the response to a poll turns frames into a payload. The rules are those of the Engine.IO
protocol, revision 4.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

from ..wire.frames import BINARY

OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = (b"%d" % kind for kind in range(7))
#: Between the packets of one long-polling payload.
SEPARATOR = b"\x1e"
#: Before the base64 of a binary packet in such a payload.
BINARY_MARK = b"b"
#: Packets of one payload: more than any stock client sends, few enough to be served at once.
MAX_PACKETS = 1_000


class PacketError(Exception):
    """The client sent a malformed or forbidden packet; its session must be closed."""


def decode_payload(body: bytes) -> list[tuple[bool, bytes]]:
    """Split the body of a POST into packets: (is it binary?, the type and the text, or the binary's own bytes).

    Raises PacketError.
    """
    parts = body.split(SEPARATOR, MAX_PACKETS)
    if len(parts) > MAX_PACKETS:
        raise PacketError("too many packets in one payload")
    return [_decode_part(part) for part in parts]


def _decode_part(part: bytes) -> tuple[bool, bytes]:
    if part[:1] == BINARY_MARK:
        try:
            return True, base64.b64decode(part[1:], validate=True)
        except binascii.Error:
            raise PacketError("not base64") from None
    try:
        part.decode()
    except UnicodeDecodeError:
        raise PacketError("not UTF-8") from None
    if not part:
        raise PacketError("empty packet")
    return False, part


def encode_payload(frames: bytes) -> bytes:
    """Return the packets that `frames` (whole frames as a server sends them) carry, as the payload of a poll."""
    parts = [
        BINARY_MARK + base64.b64encode(payload) if opcode == BINARY else payload
        for opcode, payload in _split_frames(frames)
    ]
    return SEPARATOR.join(parts)


def end_of(frames: bytes, count: int) -> int:
    """Return the index at which the first `count` frames of `frames` end, or its length if there are fewer."""
    start = 0
    while count and start < len(frames):
        begin, size = _measure(frames, start)
        start = begin + size
        count -= 1
    return start


def _split_frames(frames: bytes) -> Iterator[tuple[int, bytes]]:
    start = 0
    while start < len(frames):
        begin, size = _measure(frames, start)
        yield frames[start] & 0x0F, frames[begin : begin + size]
        start = begin + size


def _measure(frames: bytes, start: int) -> tuple[int, int]:
    """Return where the payload of the frame at `start` begins, and its size."""
    size, begin = frames[start + 1], start + 2
    if size > 125:
        begin += 2 if size == 126 else 8
        size = int.from_bytes(frames[start + 2 : begin], "big")
    return begin, size
