"""A client on HTTP long-polling: the same frames as over a WebSocket, kept until its next poll."""

from __future__ import annotations

from typing import Any, Protocol

from ..rooms.client import CLOSE_TIMEOUT, Owner
from ..rooms.member import GONE, Member, Wire
from ..wire.errors import CloseCode
from ..wire.frames import text_frame
from . import engine_packets


class Waiter(Protocol):
    """The event that a poll waits for: a threading.Event or its like."""

    def set(self) -> None:
        """End the wait."""


#: Close codes after which a client must not reconnect by itself.
FINAL_CODES = frozenset((CloseCode.TOKEN, CloseCode.FORBIDDEN, CloseCode.FLOODING))
#: Close codes that are announced by Engine.IO's CLOSE packet: those above, and that of an ordinary end. Others are not,
#: because python-socketio takes the packet as final; every stock client reconnects when its next poll gets "Session ID
#: unknown".
_SENDS_CLOSE = FINAL_CODES | {CloseCode.NORMAL}
_CLOSE, NOOP = text_frame(engine_packets.CLOSE), text_frame(engine_packets.NOOP)
#: Packets in the response to one poll. python-socketio's client accepts no more, and disconnects if there are.
MAX_POLL_PACKETS = 16


class Poller(Member):
    """A client's connection over HTTP long-polling. Everything but the poll's wait itself runs in the loop."""

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
        """Bytes that have not been polled yet."""
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
    def has_poll(self) -> bool:
        """Whether a poll is waiting for frames."""
        return self._waiter is not None

    # ---- frames in -----------------------------------------------------------------------------------------------

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
        """Keep frames of this member's own for the next poll."""
        stats = self._owner.stats
        stats.messages_out += 1
        stats.bytes_out += len(data)
        self.send(data)

    def keep_unsent(self, data: bytes, sent: int) -> None:
        """Never called: `send` takes everything."""

    # ---- polls ---------------------------------------------------------------------------------------------------

    def begin_poll(self, waiter: Waiter) -> None:
        """Have `waiter` set as soon as there are frames to take."""
        self._waiter = waiter
        if self._frames or self.closing:
            self._owner.dirty(self)

    def cancel_poll(self, waiter: Waiter) -> None:
        """End the poll of `waiter` without setting it; the frames stay for the next poll."""
        if self._waiter is waiter:
            self._waiter = None

    def flush(self) -> None:
        """Wake the poll that waits, if there are frames for it."""
        if self._waiter is not None and (self._frames or self.closing):
            self.release()

    def release(self) -> None:
        """End the wait of the poll that waits, if one does."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.set()

    def take_all(self) -> bytes:
        """Remove and return all kept frames."""
        frames = b"".join(self._frames)
        self._frames.clear()
        self._size = 0
        return frames

    def take_for_poll(self) -> bytes:
        """Remove and return the frames for one poll: some of those that are kept, or Engine.IO's CLOSE, alone.

        A stock client that finds the CLOSE behind other packets closes before it has looked at them.
        """
        frames = self.take_all()
        end = len(frames)
        if self.closing and end > len(_CLOSE) and frames.endswith(_CLOSE):
            end -= len(_CLOSE)
        end = engine_packets.end_of(frames[:end], MAX_POLL_PACKETS)
        if end < len(frames):
            self.send(frames[end:])
        return frames[:end]

    # ---- the end -------------------------------------------------------------------------------------------------

    def close(self, code: int, reason: str = "") -> None:
        """Leave the client set; the waiting or next poll gets what is kept, and then the end of the session."""
        if self.closing or self._ended:
            return
        self.closing = self._owner.now
        self.close_code = code
        self._owner.leave(self)
        self.send(_CLOSE if code in _SENDS_CLOSE else NOOP)

    def fail(self, error: BaseException) -> None:
        """Close because serving this client raised."""
        self.close(1011)

    def drop(self) -> None:
        """End the connection at once."""
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


class ClosingPollers:
    """Pollers of closed sessions that still have frames for one more poll, by session id. In the loop."""

    def __init__(self) -> None:
        self._pollers: dict[str, Poller] = {}

    def __contains__(self, sid: str) -> bool:
        return sid in self._pollers

    def add(self, sid: str, poller: Poller, now: float) -> None:
        """Add a poller, and drop those that have been closing for CLOSE_TIMEOUT."""
        pollers = self._pollers
        while pollers and now - next(iter(pollers.values())).closing >= CLOSE_TIMEOUT:
            del pollers[next(iter(pollers))]
        pollers[sid] = poller

    def find(self, sid: str) -> Poller | None:
        """Return the poller that has frames for a poll of the closed session `sid`, if there is one."""
        poller = self._pollers.get(sid)
        return poller if poller is not None and poller.waiting and not poller.has_poll else None


def payload_of(frames: bytes) -> bytes:
    """Return the payload that answers a poll with `frames`."""
    return engine_packets.encode_payload(frames) if frames else engine_packets.NOOP
