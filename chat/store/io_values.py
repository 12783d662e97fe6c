"""Values that the store keeps or finds for Socket.IO. Without SQL, so that importing them does not load SQLAlchemy."""

from __future__ import annotations

from typing import NamedTuple

from .history import Message


class IoSession(NamedTuple):
    """A connection that is, or was, in other rooms than those in which it started."""

    id: str
    user_id: str
    #: {room's name: seq from which the connection receives it; 0 if from its start}
    rooms: dict[str, int]


class ClientPosition(NamedTuple):
    """What a client has received, as its offset (chat.socketio.offsets) tells it."""

    #: The process that sent the offset.
    origin: int
    #: pk up to which it has received that process's messages.
    pk: int
    #: Mark before which it has received all messages.
    mark: int
    #: (room id, seq): the exact position in one room, instead.
    room: tuple[int, int] | None = None
    #: pk beyond which it has received nothing that other processes committed since the mark; 0: nothing of it at all.
    peer_pk: int = 0
    #: (pk, mark): of the messages that it missed, those up to pk were replayed; they were read at the mark.
    replayed: tuple[int, int] | None = None


class Missed(NamedTuple):
    """The messages that a client has missed, and a mark before which no others were committed."""

    #: Messages of the room with an exact position that precede `pk` and `mark`; by seq.
    late: list[Message]
    #: All other messages, by pk.
    messages: list[Message]
    mark: int
    #: {direct conversation: seq of its newest message}, of those that have changed. What the client has not missed up
    #: to there, it has received.
    conversations: dict[str, int]


class Ambiguous(NamedTuple):
    """Names of rooms with messages of which the store cannot tell whether the client has received them."""

    rooms: list[str]
