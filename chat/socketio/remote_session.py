"""A session of another worker, as `chat.io.sessions` returns it."""

from __future__ import annotations

from typing import Any, Protocol

from ..wire.envelope import Identity
from .answers import Answers
from .handshake import Handshake


class Reach(Protocol):
    """What reaches the session: `chat.io`."""

    def emit(self, event: str, *args: Any, room: str, namespace: str, volatile: bool) -> None:
        """Send an event to `room`."""

    def call(self, event: str, *args: Any, room: str, namespace: str, timeout: float) -> Answers:
        """Send an event to `room` and return the answers."""

    def join(self, rooms: str, *, room: str, namespace: str) -> None:
        """Add the clients in `room` to `rooms`."""

    def leave(self, rooms: str, *, room: str, namespace: str) -> None:
        """Remove the clients in `room` from `rooms`."""

    def disconnect(self, room: str, namespace: str, *, close: bool) -> None:
        """Disconnect the clients in `room`."""


class RemoteSession:
    """A client of another worker: what was true of it a moment ago, and methods that reach it.

    `data` is a copy: what is stored in it stays here. It and `auth` lack what JSON cannot hold; `handshake` and `auth`
    lack cookies and tokens.
    """

    def __init__(
        self,
        reach: Reach,
        id: str,
        namespace: str,
        identity: list[str] | None,
        rooms: list[str],
        data: dict[str, Any],
        recovered: bool,
        handshake: dict[str, Any],
    ) -> None:
        self._reach = reach
        self.id = id
        self.namespace = namespace
        self.identity = None if identity is None else Identity(*identity)
        self.rooms = frozenset(rooms)
        self.data = data
        self.recovered = recovered
        self.handshake = Handshake(**handshake)
        self.auth = self.handshake.auth

    def __repr__(self) -> str:
        return f"<RemoteSession {self.id} in {self.namespace}>"

    def emit(self, event: str, *args: Any, volatile: bool = False) -> None:
        """Send an event to this client."""
        self._reach.emit(event, *args, room=self.id, namespace=self.namespace, volatile=volatile)

    def call(self, event: str, *args: Any, timeout: float = 5.0) -> Any:
        """Send an event and return the client's answer; raises AckTimeout where none comes in time."""
        answers = self._reach.call(event, *args, room=self.id, namespace=self.namespace, timeout=timeout)
        return answers[0] if answers else None

    def join(self, room: str) -> None:
        """Add this client to `room`."""
        self._reach.join(room, room=self.id, namespace=self.namespace)

    def leave(self, room: str) -> None:
        """Remove this client from `room`."""
        self._reach.leave(room, room=self.id, namespace=self.namespace)

    def disconnect(self, close: bool = False) -> None:
        """End the client's connection to this namespace; `close`: to all, with its transport."""
        self._reach.disconnect(self.id, self.namespace, close=close)
