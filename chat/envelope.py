"""The one shape that a message has inside the house, whatever wire brought it."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class MessageType(IntEnum):
    """The `type` of a message on the native wire; 0 to 3 are the original Node server's for ever."""

    ERROR = 0
    GROUP_LIST = 1
    GROUP_CHAT = 2
    SINGLE_CHAT = 3
    ACK = 4
    ROSTER_DIFF = 5
    JOIN = 6
    LEAVE = 7
    SYNCED = 8
    AUTH = 9


class Identity(NamedTuple):
    """Who speaks, as everybody may see it: never more of a token than this."""

    id: str
    username: str


class Envelope:
    """One message: what a client asked for on its way in, what a room says on its way out.

    `user` is None for what the house itself says. `seq` is None in ephemeral rooms and before the room has given
    one; `ts` is in milliseconds; `id` is None only on the way in, where a client need not send one. `reply` is what the
    sender's Ack is to refer to, None where it wants none: on the native wire that is the `id`.
    """

    __slots__ = ("type", "data", "room", "to", "id", "user", "seq", "ts", "reply")

    def __init__(
        self,
        type: int,
        data: str | None = None,
        room: str | None = None,
        to: str | None = None,
        id: str | None = None,
        user: Identity | None = None,
        seq: int | None = None,
        ts: int = 0,
    ) -> None:
        self.type = type
        self.data = data
        self.room = room
        self.to = to
        self.id = id
        self.user = user
        self.seq = seq
        self.ts = ts
        self.reply: str | int | None = id

    def __repr__(self) -> str:
        # A body never reaches a log, so it is not in the repr either.
        return f"<Envelope type={self.type} room={self.room!r} id={self.id!r} seq={self.seq}>"
