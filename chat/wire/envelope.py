"""The one shape that a message has inside the house, whatever wire brought it."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple
from urllib.parse import unquote


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
    is the id of the receiver, `sender` the connection that sent it, `stored` the message as the store has it.
    """

    __slots__ = (
        "type",
        "data",
        "room",
        "to",
        "id",
        "user",
        "seq",
        "ts",
        "reply",
        "to_id",
        "sender",
        "stored",
    )

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
        self.sender: Any = None
        self.stored: Any = None

    def __repr__(self) -> str:
        # A body never reaches a log, so it is not in the repr either.
        return f"<Envelope type={self.type} room={self.room!r} id={self.id!r} seq={self.seq}>"


#: What the names of all direct conversations begin with.
DIRECT = "dm:"


def direct_room(one: str, other: str) -> str:
    """Return the name of the conversation of two users, given their ids."""
    pair = sorted((_escaped(one), _escaped(other)))
    return f"{DIRECT}{pair[0]}:{pair[1]}"


def participants(room: str) -> tuple[str, str] | None:
    """Return the ids of the two whose direct conversation `room` is; None for any other room."""
    one, colon, other = room[len(DIRECT) :].partition(":")
    if not room.startswith(DIRECT) or not colon or ":" in other:
        return None
    pair = unquote(one), unquote(other)
    return pair if direct_room(*pair) == room else None


def other_participant(room: str, user_id: str) -> str | None:
    """Return the id of whom `user_id` talks to in the direct conversation `room`; None where it is not theirs."""
    pair = participants(room)
    if pair is None or user_id not in pair:
        return None
    return pair[1] if user_id == pair[0] else pair[0]


#: A site's own ids may hold what parts a conversation's name, or an address that it stands in.
_ESCAPES = str.maketrans({"%": "%25", ":": "%3A", "/": "%2F"})


def _escaped(id: str) -> str:
    return id.translate(_ESCAPES)
