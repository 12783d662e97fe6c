"""One connection as the hub sees it, whatever its transport and its protocol."""

from __future__ import annotations

from typing import Any, Protocol

from ..identity.guard import Grant, deadline_of
from ..wire.codec import Codec
from ..wire.envelope import Identity


class Sink(Protocol):
    """Where a member's bytes are sent."""

    def send(self, data: bytes) -> int:
        """Take `data`, or its beginning, and return how many bytes; raises OSError as socket.send does."""


class Gone:
    """The sink of a connection that has ended: it discards everything."""

    def send(self, data: bytes) -> int:
        return len(data)


GONE = Gone()


class Wire(Protocol):
    """The protocol of a connection. Its methods run in the loop."""

    @property
    def codec(self) -> Codec:
        """Encodes messages for its clients."""

    @property
    def largest(self) -> int:
        """Bytes of the largest message that is taken at present; 0 for CHAT_MAX_MESSAGE_BYTES."""

    def on_text(self, member: Any, payload: bytes) -> None:
        """Serve one whole text message, whose UTF-8 is valid."""

    def on_binary(self, member: Any, payload: bytes) -> None:
        """Serve one whole binary message."""

    def on_control(self, member: Any) -> bool:
        """Count a WebSocket's ping or pong; return whether a ping is to be answered."""

    def check_heartbeat(self, member: Any, now: float) -> None:
        """Send the pings that are due, and close a member that does not answer; about once a second."""

    def on_close(self, member: Any) -> None:
        """The member is closing. What is enqueued now is sent before the close frame."""


class Admitted(Protocol):
    """What a token has admitted, a member or a connection to a Socket.IO namespace: when and in which session."""

    issued: int
    sid: str


class _Out:
    # The slots of a base come first: a flush over many members touches one cache line of each, not two.
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
        "sid",
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
        #: It has used an extension of the original protocol, so it may be sent extended messages.
        self.extended = False
        #: It asked for RosterDiffs instead of pushed GroupLists.
        self.diff = False
        #: Names of its rooms; all members that are in the lobby alone share one tuple.
        self.rooms: tuple[str, ...] = ()
        #: Seq of the lobby's newest message when it joined: later ones are delivered live.
        self.entered = 0
        #: {room or direct conversation: seq from which on messages are delivered live}; older ones are read by Join.
        self.floors: dict[str, int] | None = None
        #: Monotonic seconds at which its token expires.
        self.expires = float("inf")
        #: Milliseconds (wall clock) at which its token was issued.
        self.issued = 0
        #: The site's log-in session that its token was issued in, "" where the token names none.
        self.sid = ""
        #: Monotonic seconds at which it last sent something.
        self.seen = now
        #: Monotonic seconds since when it is closing, 0 while it is open.
        self.closing = 0.0
        self.close_code = 0
        #: Monotonic seconds at which its unfinished message began, 0 where there is none.
        self.began = 0.0

    def set_grant(self, granted: Grant) -> None:
        """Record what the member's token grants: until when, since when, and in which session."""
        self.expires, self.issued, self.sid = deadline_of(granted.expires), granted.issued, granted.sid

    @property
    def current(self) -> Member:
        """The member of the same client now: another one after a change of the transport."""
        return self

    @property
    def gone(self) -> bool:
        """True once the connection has ended."""
        raise NotImplementedError

    @property
    def waiting(self) -> int:
        """Bytes that wait to be sent."""
        raise NotImplementedError

    @property
    def behind_since(self) -> float:
        """Monotonic seconds since when bytes have been waiting for a slow client, or infinity."""
        raise NotImplementedError

    def enqueue(self, data: bytes) -> None:
        """Queue frames for this member alone; they are sent at the end of the tick, before the room's."""
        raise NotImplementedError

    def flush(self) -> None:
        """Send its own frames, and finish a close."""
        raise NotImplementedError

    def keep_unsent(self, data: bytes, sent: int) -> None:
        """Keep what was not taken of `data` (all after `sent`) until it can be sent."""
        raise NotImplementedError

    def close(self, code: int, reason: str = "") -> None:
        """Begin to close: leave the client set at once, send what waits and a close frame, then end."""
        raise NotImplementedError

    def fail(self, error: BaseException) -> None:
        """Close because serving this member raised."""
        raise NotImplementedError

    def drop(self) -> None:
        """End the connection at once."""
        raise NotImplementedError
