"""One client's request to join one room."""

from __future__ import annotations

from ..store.history import RoomRow
from ..wire.envelope import DIRECT, Envelope
from ..wire.errors import ChatError
from .member import Member
from .room import JoinBuffer, Room


class JoinRequest:
    """A Join that waits or is being served, and what has been found out for it."""

    __slots__ = (
        "member",
        "envelope",
        "room",
        "row",
        "buffer",
        "upto",
        "missed",
        "recovered",
        "answered",
        "cancelled",
    )

    def __init__(self, member: Member, envelope: Envelope) -> None:
        self.member = member
        self.envelope = envelope
        #: The open room; None for a direct conversation.
        self.room: Room | None = None
        #: The store's row of it; None where it has none.
        self.row: RoomRow | None = None
        #: Messages of the room while the client joins; None where it is a member already.
        self.buffer: JoinBuffer | None = None
        #: Seq of the last message that may have been missed; later ones are delivered live.
        self.upto = 0
        self.missed: list[Envelope] = []
        self.recovered = True
        self.answered = False
        #: The client has left the room, or lost the right to it, before the join was complete.
        self.cancelled = False

    @property
    def name(self) -> str:
        """Name of the room."""
        assert self.envelope.room is not None
        return self.envelope.room

    @property
    def is_direct(self) -> bool:
        """Whether the room is a direct conversation."""
        return self.name.startswith(DIRECT)

    @property
    def since(self) -> int | None:
        """Seq of the last message that the client has, None where it asks for none that were missed."""
        return self.envelope.seq

    @property
    def user_id(self) -> str:
        """Id of the user who joins."""
        assert self.member.user is not None
        return self.member.user.id

    @property
    def reply(self) -> int | None:
        """What the answer must refer to besides the id: Socket.IO's number of the request."""
        return self.envelope.reply if isinstance(self.envelope.reply, int) else None

    def error(self, code: str) -> ChatError:
        """Return the Error that answers the request."""
        error = ChatError(code, self.envelope.id)
        error.reply = self.reply
        return error

    def update_member(self) -> Member:
        """Take over the client's present connection, which a change of the transport replaces, and return it."""
        self.member = self.member.current
        return self.member

    def needs_reading(self, row: RoomRow, last_seq: int, replay_max: int) -> bool:
        """Tell whether missed messages are to be read; note where they cannot be recovered.

        That is so where too many were missed, or the client's `since` is of another epoch or out of range.
        """
        if self.since is None:
            return False
        epoch = self.envelope.data
        self.recovered = (
            (epoch is None or epoch == row.epoch)
            and row.first_seq - 1 <= self.since <= max(self.upto, last_seq)
            and self.upto - self.since <= replay_max
        )
        return self.recovered and self.since < self.upto
