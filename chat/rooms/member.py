"""What the hub knows of one connection, whatever carries it and whatever it speaks."""

from __future__ import annotations

from typing import Any, Protocol

from ..wire.codec import Codec
from ..wire.envelope import Identity


class Sink(Protocol):
    """Where a member's bytes go."""

    def send(self, data: bytes) -> int:
        """Take `data`, or its beginning, and return how much; OSError as socket.send."""


class Gone:
    """The sink of a connection that is over: it takes everything, and keeps nothing."""

    def send(self, data: bytes) -> int:
        return len(data)


GONE = Gone()


class Wire(Protocol):
    """What a connection speaks. Its methods run in the loop."""

    @property
    def codec(self) -> Codec:
        """How its clients are spoken to."""

    def on_text(self, member: Any, payload: bytes) -> None:
        """Serve one whole text message; its UTF-8 is checked."""

    def on_binary(self, member: Any, payload: bytes) -> None:
        """Serve one whole binary message."""

    def check_heartbeat(self, member: Any, now: float) -> None:
        """Look after the heartbeat; called about once a second, at monotonic seconds `now`."""

    def on_close(self, member: Any) -> None:
        """Take note that the member is closing; what is enqueued now still goes out before the close."""


class _Out:
    # A base's slots come first: a flush over a crowd touches one cache line of each member, not two.
    __slots__ = ("out",)

    out: Sink


class Member(_Out):
    """One connection, as hub, rooms and sweeper see it. `out.send(data)` is its whole write path."""

    __slots__ = (
        "wire",
        "user",
        "address",
        "language",
        "extended",
        "diff",
        "rooms",
        "entered",
        "floors",
        "expires",
        "issued",
        "seen",
        "closing",
        "close_code",
        "began",
    )

    def __init__(self, wire: Wire, now: float) -> None:
        self.wire = wire
        self.user: Identity | None = None
        self.address = ""
        self.language = "en"
        #: It used an extension of the original protocol, so it may be sent some.
        self.extended = False
        #: It wants RosterDiffs instead of pushed GroupLists.
        self.diff = False
        #: Names of the rooms that it is in; the tuple is shared by all who are in the lobby alone.
        self.rooms: tuple[str, ...] = ()
        #: Seq of the lobby's newest message when it came in: it hears what comes after.
        self.entered = 0
        #: {room or direct conversation: seq from which on it hears it live}; what is older comes by Join.
        self.floors: dict[str, int] | None = None
        #: Seconds (wall clock) at which its token ends.
        self.expires = float("inf")
        #: Milliseconds (wall clock) at which its token was issued.
        self.issued = 0
        #: Monotonic seconds at which it was last heard.
        self.seen = now
        #: Monotonic seconds since when it is closing, 0 while it is open.
        self.closing = 0.0
        self.close_code = 0
        #: Monotonic seconds at which it began the message that it has not finished, 0 where there is none.
        self.began = 0.0

    @property
    def current(self) -> Member:
        """The member that its client is now: another one after a change of the transport."""
        return self

    @property
    def gone(self) -> bool:
        """True once nothing is left of the connection."""
        raise NotImplementedError

    @property
    def waiting(self) -> int:
        """Bytes that have not been taken yet."""
        raise NotImplementedError

    @property
    def behind_since(self) -> float:
        """Monotonic seconds since when bytes have been waiting for a peer that is too slow, or infinity."""
        raise NotImplementedError

    def enqueue(self, data: bytes) -> None:
        """Queue frames of this member's own; they leave at the end of the tick, before the room's."""
        raise NotImplementedError

    def flush(self) -> None:
        """Send the frames of its own, and end what has been closed."""
        raise NotImplementedError

    def keep_unsent(self, data: bytes, sent: int) -> None:
        """Keep what was not taken of `data` (all after `sent`) for when it can be."""
        raise NotImplementedError

    def close(self, code: int, reason: str = "") -> None:
        """Begin to close: leave the client set at once, send what waits and a close frame, then end."""
        raise NotImplementedError

    def fail(self, error: BaseException) -> None:
        """Close because serving this member raised."""
        raise NotImplementedError

    def drop(self) -> None:
        """End the connection here and now."""
        raise NotImplementedError
