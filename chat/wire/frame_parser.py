"""RFC 6455, the server's side, without I/O: bytes in, messages out.

The sections named below are those of RFC 6455. No extension is ever negotiated, so every reserved bit is an error.
"""

from __future__ import annotations

from codecs import utf_8_decode

from .frames import (
    BAD_DATA,
    BINARY,
    CLOSE,
    CONTINUATION,
    MAX_CONTROL,
    PING,
    PONG,
    PROTOCOL_ERROR,
    TEXT,
    TOO_BIG,
    ProtocolError,
    check_text,
    parse_close,
)
from .masking import unmask

#: Fragments that one message may have, and one more for each so many bytes that a message may have: each costs as much
#: as a message, but only the whole message counts for its sender's rate.
MAX_FRAGMENTS, BYTES_PER_FRAGMENT = 1024, 256

_KNOWN = frozenset((CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))
_NOTHING = b""


class Parser:
    """Turns the bytes of one client, in whatever pieces they arrive, into whole messages.

    `error` is set once all messages before a violation have been returned. After it, and after a CLOSE, nothing more is
    parsed. `more` is True if `limit` stopped a call with bytes left: call `feed(b"")` again.
    """

    __slots__ = ("_ended", "_fragments", "_held", "_need", "_start", "error", "max_message", "more")

    def __init__(self, max_message: int):
        #: Bytes of the largest message; a larger frame is refused by its head alone.
        self.max_message = max_message
        self._held: bytes | bytearray = _NOTHING  # a bytearray while a frame grows; bytes when `more`,
        self._start = 0  # of which those from here on are untaken
        self._need = 0  # bytes that the held frame must have before it is parsed again
        self._fragments: _Fragments | None = None
        self._ended = False
        self.error: ProtocolError | None = None
        self.more = False

    @property
    def idle(self) -> bool:
        """True while nothing is held, so that another client's bytes may come next."""
        return not self._held and self._fragments is None and not self._ended

    @property
    def partial(self) -> bool:
        """True while an unfinished frame, or a message without its last fragment, is held."""
        return self._fragments is not None or (bool(self._held) and not self.more)

    def feed(self, data: bytes, limit: int = 64) -> list[tuple[int, bytes]]:
        """Take at most `limit` frames; return what they complete as (opcode, payload): messages, control frames."""
        if self._ended:
            return []
        start = 0
        if self._held:
            if self.more:
                data, start = self._resume(data)
            else:
                self._held += data
                if len(self._held) < self._need:
                    return []
                data = bytes(self._held)
            self._held = _NOTHING
        messages: list[tuple[int, bytes]] = []
        try:
            start, more = self._parse(data, start, messages, limit)
        except ProtocolError as error:
            self.error = error
            self._end()
        else:
            if start < len(data) and not self._ended:
                self._hold(data, start, more)
        return messages

    def _resume(self, data: bytes) -> tuple[bytes, int]:
        self.more = False
        held = bytes(self._held)  # it is bytes already: no copy
        if data:
            return held[self._start :] + data, 0
        return held, self._start

    def _hold(self, data: bytes, start: int, more: bool) -> None:
        # What `limit` left stays in the same bytes object; a growing frame needs appends that do not copy it.
        self.more = more
        self._start = start if more else 0
        self._held = data if more else bytearray(data[start:])

    def _end(self) -> None:
        self._ended = True
        self._fragments = None

    def _parse(self, data: bytes, start: int, messages: list, limit: int) -> tuple[int, bool]:
        """Take whole frames from `start` on; return the first byte not taken, and whether `limit` has stopped this."""
        end, size_limit = len(data), self.max_message
        for _ in range(limit):
            if self._ended:
                break
            # The fast path for nearly every frame: a whole text message with 7 or 16 bits of length.
            if end - start > 8 and data[start] == 0x81 and self._fragments is None:
                size, begin = data[start + 1] - 0x80, start + 6
                if size > 125:
                    size, begin = data[start + 2] << 8 | data[start + 3] if size == 126 else 0, start + 8
                    if size < 126:
                        size = 0  # longer, or to be refused: not on this path
                stop = begin + size
                if 0 < size <= size_limit and stop <= end:
                    payload = unmask(data[begin:stop], data[begin - 4 : begin])
                    if not payload.isascii():
                        check_text(payload)
                    messages.append((TEXT, payload))
                    start = stop
                    continue
            stop = self._take_frame(data, start, end, messages)
            if stop < 0:
                return start, False
            start = stop
        return start, True

    def _take_frame(self, data: bytes, start: int, end: int, messages: list) -> int:
        """Take the frame at `start` and return its end, or -1 if it needs more bytes: `_need` in total."""
        if end - start < 2:
            self._need = 2
            return -1
        first, second = data[start], data[start + 1]
        self._check_head(first, second)
        size = second & 0x7F
        key = start + (2 if size < 126 else 4 if size == 126 else 10)
        if end < key:
            self._need = key - start
            return -1
        if size >= 126:
            size = _long_size(data[start + 2 : key])
        self._check_size(first & 0x0F, size)
        begin = key + 4
        stop = begin + size
        if end < stop:
            self._need = stop - start
            return -1
        self._take(first, unmask(data[begin:stop], data[key:begin]), messages)
        return stop

    def _check_head(self, first: int, second: int) -> None:
        opcode = first & 0x0F
        if first & 0x70:
            raise ProtocolError(PROTOCOL_ERROR, "reserved bit set")
        if opcode not in _KNOWN:
            raise ProtocolError(PROTOCOL_ERROR, "reserved opcode")
        if not second & 0x80:
            raise ProtocolError(PROTOCOL_ERROR, "frame not masked")  # 5.1
        if opcode >= CLOSE:
            if not first & 0x80:
                raise ProtocolError(PROTOCOL_ERROR, "control frame fragmented")  # 5.5
            if second & 0x7F > MAX_CONTROL:
                raise ProtocolError(PROTOCOL_ERROR, "control frame too long")
        elif opcode == CONTINUATION and self._fragments is None:
            raise ProtocolError(PROTOCOL_ERROR, "nothing to continue")  # 5.4
        elif opcode != CONTINUATION and self._fragments is not None:
            raise ProtocolError(PROTOCOL_ERROR, "message not continued")

    def _check_size(self, opcode: int, size: int) -> None:
        if opcode < CLOSE:
            held = len(self._fragments.body) if self._fragments is not None else 0
            if held + size > self.max_message:
                raise ProtocolError(TOO_BIG, "message too big")

    def _take(self, first: int, payload: bytes, messages: list) -> None:
        opcode, final = first & 0x0F, bool(first & 0x80)
        if opcode >= CLOSE:
            if opcode == CLOSE:
                parse_close(payload)
                self._end()
            messages.append((opcode, payload))
        elif final and opcode != CONTINUATION:
            if opcode == TEXT:
                check_text(payload)
            messages.append((opcode, payload))
        else:
            fragments = self._fragments
            if fragments is None:  # _check_head has made sure that this is the first of a message
                limit = MAX_FRAGMENTS + self.max_message // BYTES_PER_FRAGMENT
                fragments = self._fragments = _Fragments(opcode, limit)
            fragments.add(payload, final)
            if final:
                messages.append((fragments.opcode, bytes(fragments.body)))
                self._fragments = None


class _Fragments:
    """A message without its last fragment: one growing buffer for at most `limit` fragments."""

    __slots__ = ("body", "left", "opcode", "tail")

    def __init__(self, opcode: int, limit: int):
        self.opcode = opcode
        self.body = bytearray()
        self.left = limit
        self.tail = _NOTHING  # the first bytes of a character that continues in the next fragment

    def add(self, payload: bytes, final: bool) -> None:
        self.left -= 1
        if self.left < 0:
            raise ProtocolError(TOO_BIG, "too many fragments")
        if self.opcode == TEXT:
            self._check_text(payload, final)
        self.body += payload

    def _check_text(self, payload: bytes, final: bool) -> None:
        payload = self.tail + payload
        try:
            _, used = utf_8_decode(payload, "strict", final)
        except UnicodeDecodeError:
            raise ProtocolError(BAD_DATA, "invalid UTF-8") from None
        self.tail = payload[used:]
        if (
            self.tail[:1] == b"\xed" and self.tail[1:] >= b"\xa0"
        ):  # a surrogate: Python would wait for byte three
            raise ProtocolError(BAD_DATA, "invalid UTF-8")


def _long_size(raw: bytes) -> int:
    """Return the 16 or 64 bit length; raise ProtocolError if fewer bits would do (5.2)."""
    size = int.from_bytes(raw, "big")
    if size >> 63:
        raise ProtocolError(PROTOCOL_ERROR, "length's top bit set")
    if size < (126 if len(raw) == 2 else 0x10000):
        raise ProtocolError(PROTOCOL_ERROR, "length not in its shortest form")
    return size
