"""RFC 6455, the server's side, without I/O: bytes in, messages out, and frames to send as bytes.

Sections named below are those of RFC 6455. No extension is ever negotiated: each reserved bit is an error.
"""

from __future__ import annotations

from codecs import utf_8_decode

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

PROTOCOL_ERROR, BAD_DATA, TOO_BIG = 1002, 1007, 1009
NO_STATUS = 1005

MAX_CONTROL = 125
#: Fragments with bytes in them are bounded by the message's size; empty ones in one message, by this.
MAX_EMPTY_FRAGMENTS = 1024

_KNOWN = frozenset((CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))
#: 7.4.1 and the IANA registry (1012 to 1014): what a peer may send. 3000 to 4999 are free to use (7.4.2).
_CLOSE_CODES = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014))
_SHORT_TEXT = tuple(bytes((0x80 | TEXT, size)) for size in range(126))
#: One huge integer falls out of the processor's cache: slices of 4 KiB measured twice as fast.
_CHUNK = 4096
_NOTHING = b""
_integer = int.from_bytes


class ProtocolError(Exception):
    """The peer broke the protocol: `code` and `reason` are for the close frame that answers it."""

    def __init__(self, code: int, reason: str):
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Parser:
    """Turns one client's bytes, however they were cut, into whole messages.

    `error` is set, once, after every message before the violation was returned. After it, and after a CLOSE,
    nothing more is parsed. `more` tells that `limit` stopped a call with bytes left: call `feed(b"")` again.
    """

    __slots__ = ("_ended", "_fragments", "_held", "_max", "_need", "_start", "error", "more")

    def __init__(self, max_message: int):
        self._max = max_message
        self._held: bytes | bytearray = _NOTHING  # a bytearray while a frame grows; bytes when `more`,
        self._start = 0  # of which those from here on are untaken
        self._need = 0  # bytes that the held frame must have before it is looked at again
        self._fragments: _Fragments | None = None
        self._ended = False
        self.error: ProtocolError | None = None
        self.more = False

    @property
    def partial(self) -> bool:
        """True while an unfinished frame, or a message whose last fragment has not come, is held."""
        return self._fragments is not None or (bool(self._held) and not self.more)

    def feed(self, data: bytes, limit: int = 64) -> list[tuple[int, bytes]]:
        """Return at most `limit` messages now complete, (opcode, payload); control frames where they came."""
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
            start = self._parse(data, start, messages, limit)
        except ProtocolError as error:
            self.error = error
            self._end()
        else:
            if start < len(data) and not self._ended:
                self._hold(data, start, len(messages) >= limit)
        return messages

    def _resume(self, data: bytes) -> tuple[bytes, int]:
        self.more = False
        held = bytes(self._held)  # it is bytes: no copy
        if data:
            return held[self._start :] + data, 0
        return held, self._start

    def _hold(self, data: bytes, start: int, more: bool) -> None:
        # What `limit` left is kept where it lies; a growing frame needs appends that do not copy it.
        self.more = more
        self._start = start if more else 0
        self._held = data if more else bytearray(data[start:])

    def _end(self) -> None:
        self._ended = True
        self._fragments = None

    def _parse(self, data: bytes, start: int, messages: list, limit: int) -> int:
        """Take whole frames from `start` on and return where the first untaken byte is."""
        end, size_limit = len(data), self._max
        while len(messages) < limit and not self._ended:
            # The way of nearly every frame, written out: a whole text message with 7 or 16 bits of length.
            if end - start > 8 and data[start] == 0x81 and self._fragments is None:
                size, begin = data[start + 1] - 0x80, start + 6
                if size > 125:
                    size, begin = data[start + 2] << 8 | data[start + 3] if size == 126 else 0, start + 8
                    if size < 126:
                        size = 0  # a longer one, or one to refuse: not for this way
                stop = begin + size
                if 0 < size <= size_limit and stop <= end:
                    payload = unmask(data[begin:stop], data[begin - 4 : begin])
                    if not payload.isascii():
                        _check_text(payload)
                    messages.append((TEXT, payload))
                    start = stop
                    continue
            stop = self._take_frame(data, start, end, messages)
            if stop < 0:
                break
            start = stop
        return start

    def _take_frame(self, data: bytes, start: int, end: int, messages: list) -> int:
        """Take the frame at `start` and return its end, or -1 when it needs more bytes: `_need` in all."""
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
            if held + size > self._max:
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
                _check_text(payload)
            messages.append((opcode, payload))
        else:
            fragments = self._fragments
            if fragments is None:  # _check_head saw to it that this is a message's first
                fragments = self._fragments = _Fragments(opcode)
            fragments.add(payload, final)
            if final:
                messages.append((fragments.opcode, bytes(fragments.body)))
                self._fragments = None


class _Fragments:
    """A message whose last fragment has not come: one growing buffer, however many fragments there are."""

    __slots__ = ("body", "empty", "opcode", "tail")

    def __init__(self, opcode: int):
        self.opcode = opcode
        self.body = bytearray()
        self.empty = 0
        self.tail = _NOTHING  # the bytes of a character that the fragment's border cut

    def add(self, payload: bytes, final: bool) -> None:
        if not payload:
            self._count_empty()
        if self.opcode == TEXT:
            self._check_text(payload, final)
        self.body += payload

    def _count_empty(self) -> None:
        self.empty += 1
        if self.empty > MAX_EMPTY_FRAGMENTS:
            raise ProtocolError(TOO_BIG, "too many empty fragments")

    def _check_text(self, payload: bytes, final: bool) -> None:
        payload = self.tail + payload
        try:
            _, used = utf_8_decode(payload, "strict", final)
        except UnicodeDecodeError:
            raise ProtocolError(BAD_DATA, "invalid UTF-8") from None
        self.tail = payload[used:]
        if self.tail[:1] == b"\xed" and self.tail[1:] >= b"\xa0":  # a surrogate; Python waits for byte three
            raise ProtocolError(BAD_DATA, "invalid UTF-8")


def unmask(payload: bytes, key: bytes) -> bytes:
    """Return `payload` XORed with the 4 bytes of `key`, repeated (5.3)."""
    size = len(payload)
    if size > _CHUNK:
        return _unmask_long(payload, key)
    mask = _integer((key * (size + 3 >> 2))[:size], "little")
    return (_integer(payload, "little") ^ mask).to_bytes(size, "little")


def _unmask_long(payload: bytes, key: bytes) -> bytes:
    mask = _integer(key * (_CHUNK >> 2), "little")
    whole = len(payload) - len(payload) % _CHUNK
    chunks = [
        (_integer(payload[at : at + _CHUNK], "little") ^ mask).to_bytes(_CHUNK, "little")
        for at in range(0, whole, _CHUNK)
    ]
    chunks.append(unmask(payload[whole:], key))
    return b"".join(chunks)


def _long_size(raw: bytes) -> int:
    """Return the 16 or 64 bit length, which must have needed that many bits (5.2)."""
    size = int.from_bytes(raw, "big")
    if size >> 63:
        raise ProtocolError(PROTOCOL_ERROR, "length's top bit set")
    if size < (126 if len(raw) == 2 else 0x10000):
        raise ProtocolError(PROTOCOL_ERROR, "length not in its shortest form")
    return size


def _check_text(payload: bytes) -> None:
    try:
        payload.decode()
    except UnicodeDecodeError:
        raise ProtocolError(BAD_DATA, "invalid UTF-8") from None


def parse_close(payload: bytes) -> tuple[int, str]:
    """Return a close frame's code and reason, (1005, "") when empty; ProtocolError as of 5.5.1 and 7.4."""
    if not payload:
        return NO_STATUS, ""
    code = int.from_bytes(payload[:2], "big")  # of a single byte: below 256, so refused as it must be
    if code not in _CLOSE_CODES and not 3000 <= code <= 4999:
        raise ProtocolError(PROTOCOL_ERROR, "invalid close code")
    _check_text(payload[2:])
    return code, payload[2:].decode()


def frame(opcode: int, payload: bytes) -> bytes:
    """Return one whole frame as a server sends it: final and not masked."""
    return _head(opcode, len(payload)) + payload


def text_frame(payload: bytes) -> bytes:
    """Return `frame(TEXT, payload)`; its own function for it is made once a message."""
    size = len(payload)
    if size < 126:
        return _SHORT_TEXT[size] + payload
    if size < 0x10000:
        return b"\x81\x7e%c%c%b" % (size >> 8, size & 0xFF, payload)
    return _head(TEXT, size) + payload


def text_head(size: int) -> bytes:
    """Return what comes before `size` bytes of text to make them a frame."""
    return _head(TEXT, size)


def _head(opcode: int, size: int) -> bytes:
    if size < 126:
        return bytes((0x80 | opcode, size))
    if size < 0x10000:
        return bytes((0x80 | opcode, 126, size >> 8, size & 0xFF))
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big")


def close_frame(code: int, reason: str = "") -> bytes:
    """Return a close frame, its reason cut to 123 bytes between characters; 1005 (no code) makes it empty."""
    if code == NO_STATUS:
        return frame(CLOSE, b"")
    raw = reason.encode("utf-8", "replace")[: MAX_CONTROL - 2].decode("utf-8", "ignore").encode()
    return frame(CLOSE, code.to_bytes(2, "big") + raw)
