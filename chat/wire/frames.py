"""Frames of RFC 6455: opcodes, close codes, and the frames that a server sends, as bytes.

The sections named below are those of RFC 6455.
"""

from __future__ import annotations

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

PROTOCOL_ERROR, BAD_DATA, TOO_BIG = 1002, 1007, 1009
NO_STATUS = 1005

#: Bytes that the payload of a control frame may have (5.5).
MAX_CONTROL = 125

#: Close codes that a peer may send: 7.4.1, and 1012 to 1014 of the IANA registry. 3000 to 4999 are free (7.4.2).
_CLOSE_CODES = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014))
_SHORT_TEXT = tuple(bytes((0x80 | TEXT, size)) for size in range(126))


class ProtocolError(Exception):
    """The peer broke the protocol: `code` and `reason` go into the close frame that answers it."""

    def __init__(self, code: int, reason: str):
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


def frame(opcode: int, payload: bytes) -> bytes:
    """Return one whole frame as a server sends it: final and unmasked."""
    return _head(opcode, len(payload)) + payload


def text_frame(payload: bytes) -> bytes:
    """Return `frame(TEXT, payload)`, faster: every message is encoded here."""
    size = len(payload)
    if size < 126:
        return _SHORT_TEXT[size] + payload
    if size < 0x10000:
        return b"\x81\x7e%c%c%b" % (size >> 8, size & 0xFF, payload)
    return _head(TEXT, size) + payload


def text_head(size: int) -> bytes:
    """Return the head of a text frame whose payload has `size` bytes."""
    return _head(TEXT, size)


def _head(opcode: int, size: int) -> bytes:
    if size < 126:
        return bytes((0x80 | opcode, size))
    if size < 0x10000:
        return bytes((0x80 | opcode, 126, size >> 8, size & 0xFF))
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big")


def close_frame(code: int, reason: str = "") -> bytes:
    """Return a close frame. The reason is cut to 123 bytes, between characters; the code 1005 makes the frame empty."""
    if code == NO_STATUS:
        return frame(CLOSE, b"")
    raw = reason.encode("utf-8", "replace")[: MAX_CONTROL - 2].decode("utf-8", "ignore").encode()
    return frame(CLOSE, code.to_bytes(2, "big") + raw)


def parse_close(payload: bytes) -> tuple[int, str]:
    """Return a close frame's code and reason, (1005, "") if it is empty; raise ProtocolError by 5.5.1 and 7.4."""
    if not payload:
        return NO_STATUS, ""
    code = int.from_bytes(payload[:2], "big")  # a single byte gives a code below 256, which is refused
    if code not in _CLOSE_CODES and not 3000 <= code <= 4999:
        raise ProtocolError(PROTOCOL_ERROR, "invalid close code")
    check_text(payload[2:])
    return code, payload[2:].decode()


def check_text(payload: bytes) -> None:
    """Raise ProtocolError unless `payload` is UTF-8 (8.1)."""
    try:
        payload.decode()
    except UnicodeDecodeError:
        raise ProtocolError(BAD_DATA, "invalid UTF-8") from None
