"""Values that the store keeps or finds for Socket.IO. Without SQL, so that importing them does not load SQLAlchemy."""

from __future__ import annotations

from typing import NamedTuple

from .history import Message


class IoSession(NamedTuple):
    """One connection that is, or was, not just in the rooms in which it began."""

    id: str
    user_id: str
    #: {room's name: seq from which on it hears it; 0 where it has from the start}
    rooms: dict[str, int]


class ClientPosition(NamedTuple):
    """How far a client has heard, by chat.socketio.offsets."""

    #: The process that told it so.
    origin: int
    pk: int
    mark: int
    #: A room, by its id, in which it has heard up to this seq instead.
    at: tuple[int, int] | None = None
    #: pk beyond which nothing was heard of what other processes have committed since the mark; 0: nothing of it was.
    heard: int = 0
    #: Of what it missed, the pk up to which it has been told again, and the mark at which that was read.
    retold: tuple[int, int] | None = None


class Missed(NamedTuple):
    """What a client has missed, and the mark before which nothing else has been committed."""

    #: Of the room that stands apart, those from before what `pk` and `mark` tell of; by seq.
    late: list[Message]
    #: All others, by pk.
    messages: list[Message]
    mark: int


class Ambiguous(NamedTuple):
    """Rooms and conversations with messages of which the store cannot tell whether they were heard, by name."""

    rooms: list[str]
