"""How far a client has heard, as the last argument of an event tells it: for its own process, and for others. No I/O.

    <origin>.<number>[.<pk>.<mark>[.<room>.<seq>][.h<heard>][.r<retold>.<at>]]

in hexadecimal. `origin` and `number` are the process and its count of events. The rest says what that is in the store:
all messages that the process stored up to `pk`, and all of anybody's that were committed before `mark`. In one room it
may be another message up to which all was heard: that of `seq`. Both numbers are empty while that cannot be said. Of
what other processes have committed since `mark`, something may have been heard up to the pk `heard`, and nothing beyond
it. Who was told again what it had missed has heard, of that, all up to the pk `retold` that was committed before `at`.
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


class At(NamedTuple):
    """A room in which another message is the last that was heard."""

    room_id: int
    seq: int


class Place(NamedTuple):
    """What an offset means to every process on the same store."""

    origin: int
    pk: int
    mark: int
    at: At | None = None
    #: pk of the newest of others' messages that was heard; what they have committed since `mark` may, or may not, have
    #: been heard up to here.
    heard: int = 0
    #: Of what was missed, the pk up to which it was told again, and the mark at which it was read; None: nothing was.
    retold: tuple[int, int] | None = None


class Offset(NamedTuple):
    """An offset, read. `place` is None where it says nothing about the store, and `at` may be known all the same."""

    origin: int
    number: int
    place: Place | None
    at: At | None


def read(text: str) -> Offset | None:
    """Return what an offset says; None for anything else."""
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    origin, number, pk, mark, room, seq, heard, retold, retold_at = (
        None if part is None else int(part, 16) for part in found.groups()
    )
    assert origin is not None and number is not None
    at = At(room, seq) if room is not None and seq is not None else None
    place = None
    if pk is not None and mark is not None:
        again = None if retold is None or retold_at is None else (retold, retold_at)
        place = Place(origin, pk, mark, at, heard or 0, again)
    return Offset(origin, number, place, at)


def write(origin: int, number: int, place: bytes) -> bytes:
    """Return the text of an offset; `place` is what the functions below make, or empty."""
    return b"%x.%x%b" % (origin, number, place)


def live(pk: int, mark: int) -> bytes:
    """Return the part about the store, of an event that is heard in its turn."""
    return b".%x.%x" % (pk, mark)


def apart(pk: int, mark: int, at: At) -> bytes:
    """Return it for a message of a room that is heard out of its turn."""
    return b".%x.%x.%x.%x" % (pk, mark, at.room_id, at.seq)


def up_to(heard: int) -> bytes:
    """Return what is added where others' messages were heard since the mark."""
    return b".h%x" % heard


def unsure(at: At | None = None) -> bytes:
    """Return it where nothing can be said for other processes."""
    return b"" if at is None else b"...%x.%x" % at


def retold(place: Place, at: At | None, pk: int, mark: int) -> bytes:
    """Return it for what is told again, up to `pk`, to one who stands at `place`, and `at` elsewhere in one room."""
    head = live(place.pk, place.mark) if at is None else apart(place.pk, place.mark, at)
    return head + (up_to(place.heard) if place.heard else b"") + b".r%x.%x" % (pk, mark)


class Progress(Protocol):
    """What a process has delivered of the store: chat.rooms.group_commit.Writer."""

    origin: int
    mark: int | None
    last_pk: int
    undelivered: set[int]


class Cursor:
    """Says of each event where in the store its hearers stand. In the loop.

    A process delivers its own messages in the order of pk. So the newest pk that was sent tells of all of them; others'
    messages have been heard if they were committed before the mark of the last look for them, and some of them since:
    none with a pk beyond the newest that was sent, and all in the room of the event up to it.
    """

    def __init__(self) -> None:
        self.progress: Progress | None = None
        #: Whether the site says things of its own here, of which the store knows nothing.
        self.mixed = False
        self._pk = 0
        #: pk of a message that came before its turn.
        self._early = 0
        #: pk of the newest message of another process that was sent, and the mark at that time.
        self._heard, self._heard_at = 0, -1

    def catch_up(self) -> None:
        """Take over what was delivered while nobody was here; between two flushes."""
        if self.progress is not None:
            self._pk = max(self._pk, self.progress.last_pk)

    def here(self) -> bytes:
        """Return the place of an event that is not stored."""
        return unsure() if self._is_unsure() else live(self._pk, self._mark) + self._others()

    def pass_by(self, message: Message) -> bytes:
        """Return the place of a stored message, which is sent now in its room's turn."""
        if self.progress is None:
            return b""
        if message.origin != self.progress.origin:
            self.hear(message.pk)
            return self.beside(message)
        self.progress.undelivered.discard(message.pk)
        if self._pk < message.pk <= self.progress.last_pk:
            self._pk = message.pk
            return self.beside(message) if self._others() else self.here()
        if message.pk > self._pk:
            self._early = max(self._early, message.pk)
        return self.beside(message)

    def hear(self, pk: int) -> None:
        """Take note that others' messages up to `pk` may have been sent."""
        if self.progress is not None and self.progress.mark is not None:
            self._heard, self._heard_at = max(self._heard, pk), self._mark

    def _others(self) -> bytes:
        return up_to(self._heard) if self._heard_at == self._mark else b""

    def beside(self, message: Message) -> bytes:
        """Return the place of a stored message that is sent now, though others heard it earlier."""
        at = At(message.room_id, message.seq)
        return unsure(at) if self._is_unsure() else apart(self._pk, self._mark, at) + self._others()

    @property
    def _mark(self) -> int:
        assert self.progress is not None and self.progress.mark is not None
        return self.progress.mark

    def _is_unsure(self) -> bool:
        progress = self.progress
        if progress is None or progress.mark is None or self.mixed or self._early > self._pk:
            return True
        return bool(progress.undelivered) and min(progress.undelivered) <= self._pk
