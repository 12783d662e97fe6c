"""One parked connection: what it sent that is not yet whole, who it is, what waits to be sent to it."""

from __future__ import annotations

import _socket
import contextlib
from typing import NamedTuple, Protocol

from ..loop.stats import Stats
from ..wire import frames
from ..wire.errors import CloseCode
from ..wire.frame_parser import Parser
from .member import GONE, Member, Wire
from .outbox import PIECES, Outbox

#: Bytes read from one client in a tick, and messages taken from them.
READ_BYTES = 65_536
READ_MESSAGES = 64
#: Seconds that a peer has to answer our close frame.
CLOSE_TIMEOUT = 2.0
#: Below this, joining frames is cheaper than handing them over one by one.
JOIN_BYTES = 16_384


class Taken(NamedTuple):
    """A socket taken away from the web server: its descriptor, the handshake's answer, what the client sent early."""

    fd: int
    answer: bytes
    early: bytes


class Owner(Protocol):
    """What a client tells its hub, always from within the loop."""

    outbox_bytes: int
    stats: Stats
    #: Where all clients of one loop read into: a tick reads one at a time, and each takes its bytes out.
    buffer: memoryview

    @property
    def now(self) -> float:
        """Monotonic seconds at the tick under way."""

    def leave(self, client: Member) -> None:
        """The client is closing: it is nobody's member from here on."""

    def dirty(self, client: Member) -> None:
        """The client has frames of its own to flush at the end of the tick."""

    def watch_writable(self, client: Client, wanted: bool) -> None:
        """The client has an outbox, or has none any more."""

    def detach(self, client: Member) -> None:
        """The client's descriptor is about to be closed."""

    def note_slow(self, client: Member) -> None:
        """The client's outbox grew over its bound."""

    def report_failure(self, client: Client) -> None:
        """Serving the client raised: it is to be told so, and closed."""


class Client(Member):
    """One connection over a parked WebSocket; at most one reader and one writer, both the loop.

    `out.send(data)` is the whole write path and answers like socket.send. `out` is the socket itself while nothing
    waits, else this client, which sends its own frames first, or queues. So a room's flush is one plain loop over its
    members, with nothing between it and the kernel.
    """

    __slots__ = ("fd", "pinged", "_owner", "_parser", "_socket", "_own", "_outbox")

    def __init__(self, fd: int, owner: Owner, wire: Wire, max_message: int) -> None:
        super().__init__(wire, owner.now)
        self._socket = _socket.socket(fileno=fd)
        self._socket.setblocking(False)
        with contextlib.suppress(OSError):  # a Unix socket has no Nagle to switch off
            self._socket.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        self.fd = fd
        self.out = self._socket
        self._owner = owner
        self._parser = Parser(max_message)
        self._own: list[bytes] | None = None
        self._outbox: Outbox | None = None
        #: Monotonic seconds at which it was pinged, 0 once it was heard again.
        self.pinged = 0.0

    @property
    def gone(self) -> bool:
        """True once the socket is closed."""
        return self.fd < 0

    def readable(self) -> bool:
        """Read once, bounded, and hand on what is whole; True when more is buffered and wants another tick."""
        data = b""
        if not self._parser.more:
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
        """Take in `data` as if it had been read now."""
        parser = self._parser
        messages = parser.feed(data, READ_MESSAGES)
        owner = self._owner
        for opcode, payload in messages:
            if self.closing and opcode != frames.CLOSE:
                continue
            if opcode == frames.TEXT:
                self.wire.on_text(self, payload)
            else:
                self._take_other(opcode, payload)
        if parser.more:
            return self.fd >= 0
        if parser.error is not None:
            self.close(parser.error.code, parser.error.reason)
        elif parser.partial:
            # A ping between its fragments does not make an unfinished message any younger.
            if not self.began or any(opcode < frames.CLOSE for opcode, _ in messages):
                self.began = owner.now
        else:
            self.began = 0.0
        return False

    def _take_other(self, opcode: int, payload: bytes) -> None:
        if opcode == frames.BINARY:
            self.wire.on_binary(self, payload)
        elif opcode == frames.PING:
            self.enqueue(frames.frame(frames.PONG, payload))
        elif opcode == frames.CLOSE:
            self._answer_close(payload)

    def _answer_close(self, payload: bytes) -> None:
        if self.closing:
            self.drop()
            return
        code, _ = frames.parse_close(payload)
        self.close(CloseCode.NORMAL if code == frames.NO_STATUS else code)
        # Both close frames will have passed: the socket ends as soon as ours is written.
        self.close_code = code
        self.closing -= CLOSE_TIMEOUT

    def enqueue(self, data: bytes) -> None:
        """Queue frames of this client's own; they leave at the end of the tick, before the room's."""
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
        """Take `data` to be sent after all that waits; None of it is refused, so the answer is its length."""
        if self._outbox is not None:
            return self._queue(data)
        if self._own is not None:
            self._own.append(data)
            self._send_own(self._own, len(self._own) - 1)
        return len(data)

    def flush(self) -> None:
        """Send the frames of its own that no room's flush took along, and end what has been closed."""
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
        """Send `pieces`, of which the first `count` are of its own; with them it is an ordinary client again."""
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
            if (
                size > JOIN_BYTES and len(pieces) <= PIECES
            ):  # the kernel takes no more than 1,024 pieces at once
                self._send_apart(pieces, size)
                return
            data = b"".join(pieces)
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        if sent != size:
            self.keep_unsent(data, sent)

    def _send_apart(self, pieces: list[bytes], size: int) -> None:
        try:
            sent = self._socket.sendmsg(pieces)
        except BlockingIOError:
            sent = 0
        if sent != size:
            self.keep_unsent(b"".join(pieces), sent)

    def keep_unsent(self, data: bytes, sent: int) -> None:
        """Keep what the kernel did not take of `data` (all after `sent`) for when it can."""
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
        """Send from the outbox; with its last byte the client is an ordinary one again."""
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
        """Begin to close: leave the client set at once, send what waits and a close frame, then end."""
        if self.closing or self.fd < 0:
            return
        self.closing = self._owner.now
        self.close_code = code
        self._owner.leave(self)
        if self._outbox is not None:
            # What waits is dropped but for the piece that the kernel may hold the first half of.
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
        # The close frame is with the kernel. Unread bytes would turn our close into a reset that destroys it, so
        # the write side ends now and the rest when the peer has ended too, or has had its time.
        if self._owner.now - self.closing >= CLOSE_TIMEOUT:
            self.drop()
            return
        try:
            self._socket.shutdown(_socket.SHUT_WR)
        except OSError:
            self.drop()

    def drop(self) -> None:
        """End the connection here and now."""
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
