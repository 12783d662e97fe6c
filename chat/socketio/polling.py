"""A client that takes its bytes by long-polling: the same frames as over a WebSocket, kept until it asks."""

from __future__ import annotations

from typing import Any, Protocol

from ..rooms.client import Owner
from ..rooms.member import GONE, Member, Wire
from ..wire.errors import CloseCode
from ..wire.frames import text_frame
from . import packets


class Waiter(Protocol):
    """What a request waits on."""

    def set(self) -> None:
        """End the wait."""


#: Close codes after which a client is told not to come back by itself.
FAREWELL = frozenset((CloseCode.TOKEN, CloseCode.FORBIDDEN, CloseCode.FLOODING))
#: And the end of an ordinary session. After all others it is not told Engine.IO's close, which python-socketio takes
#: for a farewell: that its next poll knows of no session brings every stock client back.
_SAYS_CLOSE = FAREWELL | {CloseCode.NORMAL}
_CLOSE, NOOP = text_frame(packets.CLOSE), text_frame(packets.NOOP)
#: Packets in the answer to one poll: python-socketio's client takes no more, and is gone if there are.
MAX_ANSWER = 16


class Poller(Member):
    """One connection over HTTP long-polling. All of it but the wait itself happens in the loop."""

    __slots__ = ("_owner", "_frames", "_size", "_since", "_waiter", "_ended")

    def __init__(self, owner: Owner, wire: Wire) -> None:
        super().__init__(wire, owner.now)
        self.out = self
        self._owner = owner
        self._frames: list[bytes] = []
        self._size = 0
        self._since = owner.now
        self._waiter: Waiter | None = None
        self._ended = False

    @property
    def gone(self) -> bool:
        """True once nothing more can be polled."""
        return self._ended

    @property
    def waiting(self) -> int:
        """Bytes that were not polled yet."""
        return self._size

    @property
    def behind_since(self) -> float:
        """Monotonic seconds since when bytes have waited for a poll, or infinity."""
        return self._since if self._frames else float("inf")

    @property
    def current(self) -> Member:
        session: Any = self.wire
        return session.member

    @property
    def polled(self) -> bool:
        """Whether a request waits for bytes now."""
        return self._waiter is not None

    def send(self, data: bytes) -> int:
        """Keep `data` for the next poll."""
        if not self._frames:
            self._since = self._owner.now
        self._frames.append(data)
        self._size += len(data)
        if self._size > self._owner.outbox_bytes and not self.closing:
            self._owner.note_slow(self)
        if self._waiter is not None:
            self._owner.dirty(self)
        return len(data)

    def enqueue(self, data: bytes) -> None:
        """Keep frames of its own for the next poll."""
        stats = self._owner.stats
        stats.messages_out += 1
        stats.bytes_out += len(data)
        self.send(data)

    def keep_unsent(self, data: bytes, sent: int) -> None:
        """Never needed: `send` takes everything."""

    def wait(self, waiter: Waiter) -> None:
        """Have `waiter` set as soon as there is something to take."""
        self._waiter = waiter
        if self._frames or self.closing:
            self._owner.dirty(self)

    def withdraw(self, waiter: Waiter) -> None:
        """Have `waiter` wait no more, and what it waited for kept for the next poll."""
        if self._waiter is waiter:
            self._waiter = None

    def flush(self) -> None:
        """Wake the request that waits."""
        if self._waiter is not None and (self._frames or self.closing):
            self.release()

    def release(self) -> None:
        """End the wait of the request that waits, if one does."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.set()

    def take(self) -> bytes:
        """Return all frames that wait; they wait no more."""
        frames = b"".join(self._frames)
        self._frames.clear()
        self._size = 0
        return frames

    def answer(self) -> bytes:
        """Return the frames for one poll: some of those that wait, or Engine.IO's close, which goes alone.

        A stock client that finds it behind other packets is closed before it has looked at them.
        """
        frames = self.take()
        end = len(frames)
        if self.closing and end > len(_CLOSE) and frames.endswith(_CLOSE):
            end -= len(_CLOSE)
        end = packets.end_of(frames[:end], MAX_ANSWER)
        if end < len(frames):
            self.send(frames[end:])
        return frames[:end]

    def close(self, code: int, reason: str = "") -> None:
        """Leave the client set; the poll that waits, or the next one, gets what is kept, and hears that it is over."""
        if self.closing or self._ended:
            return
        self.closing = self._owner.now
        self.close_code = code
        self._owner.leave(self)
        self.send(_CLOSE if code in _SAYS_CLOSE else NOOP)

    def fail(self, error: BaseException) -> None:
        """Close because serving this client raised."""
        self.close(1011)

    def drop(self) -> None:
        """End the connection here and now."""
        if self._ended:
            return
        if not self.closing:
            self.closing = self._owner.now
            self.close_code = self.close_code or 1006
            self._owner.leave(self)
        self._ended = True
        self._owner.detach(self)
        self.out = GONE
        self.release()
