"""A message inside the server, independent of the wire that it came from; and the names of direct conversations."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, NamedTuple
from urllib.parse import unquote


class MessageType(IntEnum):
    """The `type` of a message on the native wire. 0 to 3 are the original Node server's and never change."""

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
    INVITATION = 12


class Identity(NamedTuple):
    """A user as other users see it: nothing else of a token is ever shown."""

    id: str
    username: str


#: The name that a deleted account is shown with, in place of its own.
DELETED_NAME = "deleted account"


class DeletedUser(Identity):
    """A user whose account was deleted, as other users see it."""

    __slots__ = ()


def deleted_user(id: str) -> DeletedUser:
    """Return what other users see of a deleted account."""
    return DeletedUser(id, DELETED_NAME)


class Envelope:
    """One message, from a client or to clients.

    - `user`: the sender; None for a system message.
    - `seq`: the number in the room; None in ephemeral rooms and before the message is stored. In a Join it is `since`,
      in a Read what was read.
    - `ts`: milliseconds since 1970.
    - `id`: None only in what a client sends; it need not choose one.
    - `reply`: what the sender's Ack refers to (on the native wire the `id`); None if the sender wants no Ack.
    - `data`: the text; in a Join the `epoch`.
    - `to_id`: the receiver's user id; clients may send it instead of `to`, the server does not.
    - `connected`: connected users whom `to` may mean, until the store has chosen; not sent.
    - `sender`: the connection that sent it; not sent.
    - `stored`: the message as the store returned it; not sent.
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
        "connected",
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
        self.connected: Sequence[Identity] = ()
        self.sender: Any = None
        self.stored: Any = None

    def __repr__(self) -> str:
        # Without the text: it must never reach a log.
        return f"<Envelope type={self.type} room={self.room!r} id={self.id!r} seq={self.seq}>"


#: The prefix of the names of all direct conversations.
DIRECT = "dm:"


def direct_room(one: str, other: str) -> str:
    """Return the name of the direct conversation of two users, given their ids."""
    pair = sorted((_escaped(one), _escaped(other)))
    return f"{DIRECT}{pair[0]}:{pair[1]}"


def participants(room: str) -> tuple[str, str] | None:
    """Return the ids of the two users of a direct conversation; None for any other room."""
    one, colon, other = room[len(DIRECT) :].partition(":")
    if not room.startswith(DIRECT) or not colon or ":" in other:
        return None
    pair = unquote(one), unquote(other)
    return pair if direct_room(*pair) == room else None


def other_participant(room: str, user_id: str) -> str | None:
    """Return the id of the other user in `user_id`'s direct conversation `room`; None if it is not one of theirs."""
    pair = participants(room)
    if pair is None or user_id not in pair:
        return None
    return pair[1] if user_id == pair[0] else pair[0]


#: A site's own ids may contain what separates the parts of a conversation's name, or of a URL that contains it.
_ESCAPES = str.maketrans({"%": "%25", ":": "%3A", "/": "%2F"})


def _escaped(id: str) -> str:
    return id.translate(_ESCAPES)
