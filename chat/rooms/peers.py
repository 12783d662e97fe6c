"""The interface to the site's other workers: what a hub publishes and asks. cluster/peers.py implements it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from ..wire.envelope import Envelope, Identity

if TYPE_CHECKING:
    from ..store.history import Message
    from .room import Room


class Peers(Protocol):
    """The other workers. Its methods run in the loop and do not block, except `ask`."""

    @property
    def alone(self) -> bool:
        """Whether there can be no other worker."""

    # What this worker publishes and subscribes to

    def publish_stored(self, messages: Iterable[Message]) -> None:
        """Publish messages that this worker has stored and delivered."""

    def publish_ephemeral(self, envelope: Envelope) -> None:
        """Publish a message of an ephemeral room or conversation."""

    def flush(self) -> None:
        """Send what is published now, before this worker's own delivery, which may take a while."""

    def room_opened(self, room: Room) -> None:
        """Subscribe to the messages and the roster of a room."""

    def room_closed(self, room: Room) -> None:
        """Unsubscribe from it."""

    def user_joined(self, room: Room, user: Identity) -> None:
        """Publish that the first connection of a user to this worker is in a room."""

    def user_left(self, room: Room, user: Identity) -> None:
        """Publish that the last one has left it."""

    def watch_user(self, user_id: str) -> None:
        """Subscribe to the direct messages of a user, who is connected or whose session is kept."""

    def unwatch_user(self, user_id: str) -> None:
        """Unsubscribe from them."""

    def publish_counts(self, user: Identity, sockets: int, address: str, from_address: int) -> None:
        """Publish how many connections to this worker a user has, and how many come from an address."""

    # What is known of other workers

    def sockets_of(self, user_id: str) -> int:
        """Return how many connections a user has to other workers, as far as is known."""

    def sockets_from(self, address: str) -> int:
        """Return how many connections to other workers come from an address."""

    def named(self, username: str) -> list[Identity]:
        """Return the users with that name, in any case and compatible form, who are connected to other workers."""

    def find_user(self, user_id: str) -> Identity | None:
        """Return the user of that id who is connected to another worker."""

    def served_recently(self, origin: int) -> bool:
        """Tell whether a worker is alive, or was less than CHAT_IO_RECOVERY_SECONDS ago."""

    def ask(self, origin: int, what: str, *parts: Any) -> Any:
        """Return the answer of a worker, None where none comes in time; it waits: not from a tick."""


class NoPeers:
    """The peers of the only worker: none."""

    alone = True

    def publish_stored(self, messages: Iterable[Message]) -> None:
        pass

    def publish_ephemeral(self, envelope: Envelope) -> None:
        pass

    def flush(self) -> None:
        pass

    def room_opened(self, room: Room) -> None:
        pass

    def room_closed(self, room: Room) -> None:
        pass

    def user_joined(self, room: Room, user: Identity) -> None:
        pass

    def user_left(self, room: Room, user: Identity) -> None:
        pass

    def watch_user(self, user_id: str) -> None:
        pass

    def unwatch_user(self, user_id: str) -> None:
        pass

    def publish_counts(self, user: Identity, sockets: int, address: str, from_address: int) -> None:
        pass

    def sockets_of(self, user_id: str) -> int:
        return 0

    def sockets_from(self, address: str) -> int:
        return 0

    def named(self, username: str) -> list[Identity]:
        return []

    def find_user(self, user_id: str) -> Identity | None:
        return None

    def served_recently(self, origin: int) -> bool:
        return False

    def ask(self, origin: int, what: str, *parts: Any) -> Any:
        return None


NO_PEERS = NoPeers()
