"""Offsets: the last argument of an event, which says what its client has received so far. No I/O.

    <origin>.<number>[.<pk>.<mark>[.<room>.<seq>][.h<peer_pk>][.r<replayed>.<at>]]

All parts are hexadecimal. `origin` is the process that sent the event, `number` its count of events. The rest is the
client's position in the store, which every process on that store understands:

- The client has received all messages that `origin` stored up to `pk`, and all messages of any process that were
  committed before `mark`.
- In the room `room` it has received all messages up to `seq` instead.
- Of the messages that other processes have committed since `mark` it may have received some up to the pk `peer_pk`,
  and none beyond.
- Of the messages that it had missed it was sent those up to the pk `replayed` that were committed before `at`.

`pk` and `mark` are empty while the position is unknown.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Protocol

from ..store.history import Message

_FORM = re.compile(
    r"([0-9a-f]{1,8})\.([0-9a-f]{1,12})"
    r"(?:\.([0-9a-f]{1,15})?\.([0-9a-f]{1,15})?(?:\.([0-9a-f]{1,13})\.([0-9a-f]{1,13}))?"
    r"(?:\.h([0-9a-f]{1,15}))?(?:\.r([0-9a-f]{1,15})\.([0-9a-f]{1,15}))?)?",
    re.ASCII,
)


class RoomPosition(NamedTuple):
    """The last message that was received in one room, where that is not what `pk` and `mark` say."""

    room_id: int
    seq: int


class StorePosition(NamedTuple):
    """A client's position in the store, for every process on the same store."""

    origin: int
    pk: int
    mark: int
    room: RoomPosition | None = None
    #: pk of the newest message of another process that was received. Of what other processes have committed since
    #: `mark`, some or all up to here was received, and nothing beyond.
    peer_pk: int = 0
    #: The pk up to which missed messages were replayed, and the mark at which they were read; None if none were.
    replayed: tuple[int, int] | None = None


class Offset(NamedTuple):
    """A parsed offset. `store` is None where the position in the store is unknown; `room` may be known even then."""

    origin: int
    number: int
    store: StorePosition | None
    room: RoomPosition | None


def read(text: str) -> Offset | None:
    """Parse an offset; return None for anything else."""
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    origin, number, pk, mark, room_id, seq, peer_pk, replayed, replayed_at = (
        None if part is None else int(part, 16) for part in found.groups()
    )
    assert origin is not None and number is not None
    room = RoomPosition(room_id, seq) if room_id is not None and seq is not None else None
    store = None
    if pk is not None and mark is not None:
        again = None if replayed is None or replayed_at is None else (replayed, replayed_at)
        store = StorePosition(origin, pk, mark, room, peer_pk or 0, again)
    return Offset(origin, number, store, room)


def write(origin: int, number: int, store: bytes) -> bytes:
    """Return the text of an offset; `store` is what one of the functions below returns, or empty."""
    return b"%x.%x%b" % (origin, number, store)


def in_order(pk: int, mark: int) -> bytes:
    """Return the store part of an event that is sent in its turn."""
    return b".%x.%x" % (pk, mark)


def with_room(pk: int, mark: int, room: RoomPosition) -> bytes:
    """Return the store part of a room's message that is sent out of its turn."""
    return b".%x.%x.%x.%x" % (pk, mark, room.room_id, room.seq)


def peer_suffix(peer_pk: int) -> bytes:
    """Return what is appended where messages of other processes have been sent since the mark."""
    return b".h%x" % peer_pk


def unknown(room: RoomPosition | None = None) -> bytes:
    """Return the store part where the position in the store is unknown."""
    return b"" if room is None else b"...%x.%x" % room


def replayed(store: StorePosition, room: RoomPosition | None, pk: int, mark: int) -> bytes:
    """Return the store part of a replayed message.

    Its client was at `store`, in one room at `room`; it has now been sent what it missed up to `pk`, read at `mark`.
    """
    head = in_order(store.pk, store.mark) if room is None else with_room(store.pk, store.mark, room)
    return head + (peer_suffix(store.peer_pk) if store.peer_pk else b"") + b".r%x.%x" % (pk, mark)


class Progress(Protocol):
    """How much of the store a process has delivered; chat.rooms.stored_delivery.StoredDelivery is one."""

    origin: int
    mark: int | None
    last_pk: int
    undelivered: set[int]


class Cursor:
    """Computes the position in the store that each event of this process reports. In the loop.

    A process delivers its own messages in the order of pk, so the newest pk that was sent stands for all of them.
    Messages of other processes have been sent if they were committed before the mark of the last look for them. Of
    those committed since, none with a pk beyond the newest that was sent has been, and in the room of an event all up
    to that event have.
    """

    def __init__(self) -> None:
        self.progress: Progress | None = None
        #: Whether the site emits events of its own in the chat's namespace, which the store does not have.
        self.mixed = False
        self._pk = 0
        #: pk of a message that was sent before its turn.
        self._early_pk = 0
        #: pk of the newest message of another process that was sent, and the mark at that time.
        self._peer_pk, self._peer_mark = 0, -1

    @property
    def delivered_mark(self) -> int | None:
        """The mark before which this process has delivered all messages; None while it is unknown."""
        return None if self.progress is None else self.progress.mark

    def catch_up(self) -> None:
        """Take over what was delivered while no client was connected; between two flushes."""
        if self.progress is not None:
            self._pk = max(self._pk, self.progress.last_pk)

    def current(self) -> bytes:
        """Return the store part of an event that is not stored."""
        return unknown() if self._is_unknown() else in_order(self._pk, self._mark) + self._peer_suffix()

    def advance(self, message: Message) -> bytes:
        """Return the store part of a stored message that is sent now, in its room's turn."""
        if self.progress is None:
            return b""
        if message.origin != self.progress.origin:
            self.add_peer_message(message.pk)
            return self.out_of_turn(message)
        self.progress.undelivered.discard(message.pk)
        if self._pk < message.pk <= self.progress.last_pk:
            self._pk = message.pk
            return self.out_of_turn(message) if self._peer_suffix() else self.current()
        if message.pk > self._pk:
            self._early_pk = max(self._early_pk, message.pk)
        return self.out_of_turn(message)

    def add_peer_message(self, pk: int) -> None:
        """Record that messages of other processes up to `pk` may have been sent."""
        if self.progress is not None and self.progress.mark is not None:
            self._peer_pk, self._peer_mark = max(self._peer_pk, pk), self._mark

    def _peer_suffix(self) -> bytes:
        return peer_suffix(self._peer_pk) if self._peer_mark == self._mark else b""

    def out_of_turn(self, message: Message) -> bytes:
        """Return the store part of a stored message that is sent now, though other clients got it earlier."""
        room = RoomPosition(message.room_id, message.seq)
        if self._is_unknown():
            return unknown(room)
        return with_room(self._pk, self._mark, room) + self._peer_suffix()

    @property
    def _mark(self) -> int:
        assert self.progress is not None and self.progress.mark is not None
        return self.progress.mark

    def _is_unknown(self) -> bool:
        progress = self.progress
        if progress is None or progress.mark is None or self.mixed or self._early_pk > self._pk:
            return True
        return bool(progress.undelivered) and min(progress.undelivered) <= self._pk
