"""A client that is resuming a connection: the connection's state, and what has been found for it so far."""

from __future__ import annotations

from collections.abc import Mapping

from .recovery import MessageKey, Saved, Subscriptions


class Resumption:
    """One client that resumes. In the loop, but for the job that looks up what it missed."""

    __slots__ = (
        "pid",
        "saved",
        "remembered",
        "held_rooms",
        "is_counted",
        "delivered_mark",
        "replayed",
        "replayed_keys",
        "newest_pk",
        "lost_rooms",
        "ephemeral_rooms",
        "is_stored",
    )

    def __init__(
        self, pid: str, saved: Saved, held_rooms: tuple[str, ...] | None = None, is_stored: bool = False
    ) -> None:
        #: The pid that its client presented.
        self.pid = pid
        #: `position` is the packet of this process after which it goes on.
        self.saved = saved
        #: The state as this process's memory had it; None for a connection of another process.
        self.remembered: Saved | None = None
        #: Rooms that are held open for it until it is accepted; None where none are.
        self.held_rooms = held_rooms
        #: Whether Recovery.connections counts it.
        self.is_counted = held_rooms is not None
        #: The mark before which this process had delivered all messages when it began to hold packets for the client.
        self.delivered_mark: int | None = None
        #: Frames to send before this process's packets, the stored messages that they carry, and the newest one's pk.
        self.replayed: list[bytes] = []
        self.replayed_keys: set[MessageKey] = set()
        self.newest_pk = 0
        #: Rooms that it may not enter any more, and ephemeral ones, whose missed messages nobody has.
        self.lost_rooms: list[str] = []
        self.ephemeral_rooms: list[str] = []
        #: Whether the store has its rooms.
        self.is_stored = is_stored

    @property
    def subscriptions(self) -> Subscriptions:
        """The subscriptions of a connection to the chat."""
        assert self.saved.subscriptions is not None
        return self.saved.subscriptions

    @property
    def user_id(self) -> str:
        """The user of a connection to the chat."""
        assert self.saved.user_id is not None
        return self.saved.user_id

    def start_at(self, position: int) -> None:
        """Go on after the packet `position` of this process."""
        self.saved = self.saved._replace(position=position)

    def remove_lost_rooms(self) -> None:
        """Take `lost_rooms` out of its subscriptions and scopes."""
        lost, subscriptions = self.lost_rooms, self.subscriptions
        rooms = {name: floor for name, floor in subscriptions.rooms.items() if name not in lost}
        gone = {("room", name) for name in lost}
        scopes = {scope: number for scope, number in self.saved.scopes.items() if scope not in gone}
        self.saved = self.saved._replace(subscriptions=subscriptions._replace(rooms=rooms), scopes=scopes)

    def raise_direct_floors(self, received: Mapping[str, int]) -> None:
        """Deliver no direct message live that is replayed, or `received` up to {conversation: seq}.

        This process may have yet to deliver it.
        """
        subscriptions = self.subscriptions
        direct = dict(subscriptions.direct)
        for room, seq in (*received.items(), *self.replayed_keys):
            if room not in subscriptions.rooms:
                direct[room] = max(direct.get(room, 0), seq + 1)
        self.saved = self.saved._replace(subscriptions=subscriptions._replace(direct=direct))
