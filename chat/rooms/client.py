"""One parked WebSocket: reads messages from it, and writes to it without waiting for the client."""

from __future__ import annotations

import _socket
import contextlib
from typing import NamedTuple

from ..wire import frames
from ..wire.errors import CloseCode
from ..wire.frame_parser import Parser
from .member import GONE, Member, Wire
from .outbox import PIECES, Outbox
from .owner import Owner

#: Bytes read from one client in a tick, and messages served of them.
READ_BYTES = 65_536
READ_MESSAGES = 64
#: Seconds that a client has to answer our close frame.
CLOSE_TIMEOUT = 2.0
#: Up to this size, frames are joined for one send; above it, sendmsg takes them one by one.
JOIN_BYTES = 16_384


class Taken(NamedTuple):
    """A socket taken from the web server: its descriptor, the answer to the handshake, what the client sent early."""

    fd: int
    answer: bytes
    early: bytes


class Client(Member):
    """A connection over a parked WebSocket, with at most one reader and one writer: the loop.

    `out.send(data)` is the whole write path and returns what socket.send returns. `out` is the socket itself while
    nothing waits, else this client, which sends its own frames first, or queues. So a room's flush is a plain loop
    over its members that calls the kernel directly.
    """

    __slots__ = ("fd", "pinged", "_owner", "_parser", "_socket", "_own", "_outbox")

    def __init__(self, fd: int, owner: Owner, wire: Wire) -> None:
        super().__init__(wire, owner.now)
        self._socket = _socket.socket(fileno=fd)
        self._socket.setblocking(False)
        with contextlib.suppress(OSError):  # a Unix socket has no Nagle to switch off
            self._socket.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        self.fd = fd
        self.out = self._socket
        self._owner = owner
        #: The parser while it holds something of this client's; else the owner's serves.
        self._parser: Parser | None = None
        self._own: list[bytes] | None = None
        self._outbox: Outbox | None = None
        #: Monotonic seconds at which it was pinged, 0 once it has sent something since.
        self.pinged = 0.0

    @property
    def gone(self) -> bool:
        """True once the socket is closed."""
        return self.fd < 0

    def readable(self) -> bool:
        """Read once, bounded, and serve the whole messages; True when more is buffered and needs another tick."""
        data = b""
        if self._parser is None or not self._parser.more:
            try:
                size = self._socket.recv_into(self._owner.buffer)
            except BlockingIOError:
                return False
            except OSError:
                size = 0
            if not size:
                self.drop()
                return False
            data = bytes(self._owner.buffer[:size])
            self._owner.stats.bytes_in += size
        self.seen = self._owner.now
        self.pinged = 0.0
        return self.feed(data)

    def feed(self, data: bytes) -> bool:
        """Serve `data` as if it had been read now; True when more is buffered."""
        owner = self._owner
        messages = self._parse(data)
        for opcode, payload in messages:
            if self.closing and opcode != frames.CLOSE:
                continue
            if opcode == frames.TEXT:
                self.wire.on_text(self, payload)
            else:
                self._serve_other(opcode, payload)
        parser = self._parser
        if parser is None:
            self.began = 0.0
            return False
        if parser.more:
            return self.fd >= 0
        if parser.error is not None:
            self.close(parser.error.code, parser.error.reason)
        elif parser.partial:
            # A ping between the fragments of a message does not reset the time that it has taken.
            if not self.began or any(opcode < frames.CLOSE for opcode, _ in messages):
                self.began = owner.now
        else:
            self.began = 0.0
        return False

    def _parse(self, data: bytes) -> list[tuple[int, bytes]]:
        owner = self._owner
        parser = self._parser or owner.parser
        parser.max_message = self.wire.largest or owner.max_message
        messages = parser.feed(data, READ_MESSAGES)
        if parser.idle:
            self._parser = None
        elif self._parser is None:
            self._parser = parser
            owner.parser = Parser(owner.max_message)
        return messages

    def _serve_other(self, opcode: int, payload: bytes) -> None:
        if opcode == frames.BINARY:
            self.wire.on_binary(self, payload)
        elif opcode == frames.CLOSE:
            self._answer_close(payload)
        elif self.wire.on_control(self) and opcode == frames.PING:
            self.enqueue(frames.frame(frames.PONG, payload))

    def _answer_close(self, payload: bytes) -> None:
        if self.closing:
            self.drop()
            return
        code, _ = frames.parse_close(payload)
        self.close(CloseCode.NORMAL if code == frames.NO_STATUS else code)
        # With ours, both close frames are sent: the socket is closed as soon as ours is written.
        self.close_code = code
        self.closing -= CLOSE_TIMEOUT

    def enqueue(self, data: bytes) -> None:
        """Queue frames for this client alone; they are sent at the end of the tick, before the room's."""
        if self._own is not None:
            self._own.append(data)
        elif self._outbox is None:
            self._own = [data]
            self.out = self
            self._owner.dirty(self)
        else:
            self._owner.stats.messages_out += 1
            self._owner.stats.bytes_out += len(data)
            self._queue(data)

    def send(self, data: bytes) -> int:
        """Queue `data` after all that waits, and return its length: all of it is taken."""
        if self._outbox is not None:
            return self._queue(data)
        if self._own is not None:
            self._own.append(data)
            self._send_own(self._own, len(self._own) - 1)
        return len(data)

    def flush(self) -> None:
        """Send the frames of its own that no room's flush has sent, and finish a close."""
        own = self._own
        if own is not None and self.fd >= 0:
            try:
                self._send_own(own, len(own))
            except OSError:
                self.drop()
                return
        if self.closing and self._outbox is None and self.fd >= 0:
            self._finish()

    def _send_own(self, pieces: list[bytes], count: int) -> None:
        """Send `pieces`, of which the first `count` are its own, and write to the socket directly again."""
        self._own = None
        self.out = self._socket
        stats = self._owner.stats
        stats.messages_out += count
        if len(pieces) == 1:
            data = pieces[0]
            size = len(data)
            stats.bytes_out += size
        else:
            size = sum(map(len, pieces))
            stats.bytes_out += size - sum(map(len, pieces[count:]))
            # The kernel takes no more than 1,024 pieces at once.
            if size > JOIN_BYTES and len(pieces) <= PIECES:
                self._send_pieces(pieces, size)
                return
            data = b"".join(pieces)
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        if sent != size:
            self.keep_unsent(data, sent)

    def _send_pieces(self, pieces: list[bytes], size: int) -> None:
        try:
            sent = self._socket.sendmsg(pieces)
        except BlockingIOError:
            sent = 0
        if sent != size:
            self.keep_unsent(b"".join(pieces), sent)

    def keep_unsent(self, data: bytes, sent: int) -> None:
        """Keep what the kernel did not take of `data` (all after `sent`) in an outbox until it can."""
        self._outbox = Outbox(self._owner.now)
        self._outbox.append(memoryview(data)[sent:] if sent else data)
        self.out = self
        self._owner.watch_writable(self, True)
        self._check_outbox()

    def _queue(self, data: bytes) -> int:
        assert self._outbox is not None
        self._outbox.append(data)
        self._check_outbox()
        return len(data)

    def _check_outbox(self) -> None:
        assert self._outbox is not None
        if self._outbox.size > self._owner.outbox_bytes and not self.closing:
            self._owner.note_slow(self)

    def writable(self) -> None:
        """Send from the outbox; once it is empty, write to the socket directly again."""
        outbox = self._outbox
        if outbox is None:
            return
        try:
            sent = self._socket.sendmsg(outbox.pieces())
        except BlockingIOError:
            return
        except OSError:
            self.drop()
            return
        outbox.sent(sent)
        if not outbox.size:
            self._outbox = None
            self.out = self._socket
            self._owner.watch_writable(self, False)
            self.flush()

    @property
    def waiting(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self._outbox.size if self._outbox is not None else 0

    @property
    def behind_since(self) -> float:
        """Monotonic seconds since when bytes have been waiting, or infinity."""
        return self._outbox.since if self._outbox is not None else float("inf")

    def close(self, code: int, reason: str = "") -> None:
        """Begin to close: leave the client set at once, send what waits and a close frame, then close the socket."""
        if self.closing or self.fd < 0:
            return
        self.closing = self._owner.now
        self.close_code = code
        self._owner.leave(self)
        if self._outbox is not None:
            # Drop what waits, except the piece of which the kernel may have taken a part.
            self._outbox.keep_first()
        self.enqueue(frames.close_frame(code, reason))
        self._owner.dirty(self)

    def fail(self, error: BaseException) -> None:
        """Close because serving this client raised."""
        if self.fd < 0:
            return
        try:
            self._owner.report_failure(self)
        except Exception:
            self.drop()
            raise

    def _finish(self) -> None:
        # The kernel has the close frame. Closing a socket with unread bytes would send a reset and lose the frame, so
        # only the write side ends now; the rest ends with the client's side, or when its time is over.
        if self._owner.now - self.closing >= CLOSE_TIMEOUT:
            self.drop()
            return
        try:
            self._socket.shutdown(_socket.SHUT_WR)
        except OSError:
            self.drop()

    def drop(self) -> None:
        """End the connection at once."""
        if self.fd < 0:
            return
        if not self.closing:
            self.closing = self._owner.now
            self.close_code = self.close_code or 1006
            self._owner.leave(self)
        self._owner.detach(self)
        self.fd = -1
        self._own = self._outbox = None
        self.out = GONE
        self._socket.close()
