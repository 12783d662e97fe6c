"""What a hub tells the other processes of its site, and asks about them; cluster.py does it, or there are none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from ..wire.envelope import Envelope, Identity

if TYPE_CHECKING:
    from ..store.history import Message
    from .room import Room


class Peers(Protocol):
    """The other processes. In the loop, where nothing blocks, but for `ask`."""

    @property
    def alone(self) -> bool:
        """Whether there can be none."""

    # What happens here

    def publish_stored(self, messages: Iterable[Message]) -> None:
        """Tell them of messages that were stored and said here."""

    def publish_ephemeral(self, envelope: Envelope) -> None:
        """Tell them of a message that is stored nowhere."""

    def flush(self) -> None:
        """Have it leave now: what is said here to many takes a while, and the others need not wait for it."""

    def room_opened(self, room: Room) -> None:
        """Hear what is said in a room, and who is in it, from now on."""

    def room_closed(self, room: Room) -> None:
        """Hear it no more."""

    def user_joined(self, room: Room, user: Identity) -> None:
        """Tell them that a user's first socket here is in a room."""

    def user_left(self, room: Room, user: Identity) -> None:
        """Tell them that the last one has left it."""

    def watch_user(self, user_id: str) -> None:
        """Hear what is said to a user from now on, who is here or may come back here."""

    def unwatch_user(self, user_id: str) -> None:
        """Hear it no more."""

    def publish_counts(self, user: Identity, sockets: int, address: str, from_there: int) -> None:
        """Tell them how many sockets a user has here, and how many come from an address."""

    # What happens there

    def sockets_of(self, user_id: str) -> int:
        """Return how many sockets a user has on other processes, as far as is known."""

    def sockets_from(self, address: str) -> int:
        """Return how many come from an address there."""

    def find_user(self, username: str) -> Identity | None:
        """Return who of that name, in any case, is connected there."""

    def served_recently(self, origin: int) -> bool:
        """Tell whether a process is alive, or was less than CHAT_IO_RECOVERY_SECONDS ago."""

    def ask(self, origin: int, what: str, *parts: Any) -> Any:
        """Return what a process answers, None where it does not in time; not from a tick, for it waits."""


class NoPeers:
    """There are no others."""

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

    def publish_counts(self, user: Identity, sockets: int, address: str, from_there: int) -> None:
        pass

    def sockets_of(self, user_id: str) -> int:
        return 0

    def sockets_from(self, address: str) -> int:
        return 0

    def find_user(self, username: str) -> Identity | None:
        return None

    def served_recently(self, origin: int) -> bool:
        return False

    def ask(self, origin: int, what: str, *parts: Any) -> Any:
        return None


NO_PEERS = NoPeers()
