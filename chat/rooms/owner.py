"""What a connection reports to its hub, and what it shares with the hub's other connections."""

from __future__ import annotations

from typing import Any, Protocol

from ..loop.stats import Stats
from ..wire.frame_parser import Parser
from .member import Member


class Owner(Protocol):
    """The hub, as its connections see it. All calls come from within the loop."""

    outbox_bytes: int
    stats: Stats
    #: Read buffer of all clients of one loop: a tick reads one client at a time, and each copies its bytes out.
    buffer: memoryview
    #: Parses for every client that has sent whole messages only. A client with an unfinished one keeps the
    #: parser, and puts a new one here: an idle client needs none of its own.
    parser: Parser
    #: Bytes that one message may have.
    max_message: int

    @property
    def now(self) -> float:
        """Monotonic seconds at the tick under way."""

    def leave(self, client: Member) -> None:
        """The client is closing: remove it from the client set."""

    def dirty(self, client: Member) -> None:
        """The client has frames of its own to flush at the end of the tick."""

    def watch_writable(self, client: Any, wanted: bool) -> None:
        """The client has an outbox (`wanted`), or its outbox is empty again."""

    def detach(self, client: Member) -> None:
        """The client's descriptor is about to be closed."""

    def note_slow(self, client: Member) -> None:
        """The client's outbox has grown over its bound."""

    def report_failure(self, client: Member) -> None:
        """Serving the client raised: send it an Error and close it."""
