"""The one shape that a message has inside the house, whatever wire brought it."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Any, NamedTuple


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
    READ = 10
    ROOMS = 11


class Identity(NamedTuple):
    """Who speaks, as everybody may see it: never more of a token than this."""

    id: str
    username: str


class Envelope:
    """One message: what a client asked for on its way in, what a room says on its way out.

    `user` is None for what the house itself says. `seq` is None in ephemeral rooms and before the room has given
    one; `ts` is in milliseconds; `id` is None only on the way in, where a client need not send one. `reply` is what the
    sender's Ack is to refer to, None where it wants none: on the native wire that is the `id`. In a Join `seq` is its
    `since` and `data` its `epoch`; in a Read `seq` is what was read. Inside only: `to_id`
    is the id of the receiver, `by` the connection that said it.
    """

    __slots__ = ("type", "data", "room", "to", "id", "user", "seq", "ts", "reply", "to_id", "by")

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
        self.to_id: str | None = None
        self.by: Any = None

    def __repr__(self) -> str:
        # A body never reaches a log, so it is not in the repr either.
        return f"<Envelope type={self.type} room={self.room!r} id={self.id!r} seq={self.seq}>"


#: What the names of all direct conversations begin with.
DIRECT = "dm:"


def direct_room(one: str, other: str) -> str:
    """Return the name of the conversation of two users, given their ids."""
    return f"{DIRECT}{one}:{other}" if one < other else f"{DIRECT}{other}:{one}"


def ends(room: str) -> Iterator[tuple[str, str]]:
    """Yield the pairs of ids that the direct conversation `room` may be of: one, but where ids hold colons."""
    if not room.startswith(DIRECT):
        return
    pair = room[len(DIRECT) :]
    at = pair.find(":")
    while at >= 0:
        one, other = pair[:at], pair[at + 1 :]
        if one <= other:
            yield one, other
        at = pair.find(":", at + 1)


def other_end(room: str, user_id: str) -> str | None:
    """Return the id of whom `user_id` talks to in the direct conversation `room`; None where it is not theirs."""
    for one, other in ends(room):
        if user_id in (one, other):
            return other if user_id == one else one
    return None
