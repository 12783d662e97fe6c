"""Connection state recovery: what was said lately, and the state of who went without a good-bye.

As Socket.IO servers do from 4.6 on: CONNECT gives the client a `pid`, every event that may be missed ends with an
offset, and a client that comes back sends both. This memory is of one process; returning.py goes to the store where it
does not reach.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict, deque
from collections.abc import Callable, Container, Mapping
from itertools import islice
from typing import Any, NamedTuple

from . import offsets, packets
from .offsets import Cursor, Offset, Progress
from .packets import Prepared

#: Bytes of packets that are kept, and sessions of clients that are away; the oldest go first.
KEPT_BYTES = 16_777_216
KEPT_SESSIONS = 10_000

#: A message that is stored: its room, or conversation, by name, and its seq.
Stored = tuple[str, int]


class Subscriptions(NamedTuple):
    """Where a connection is in the chat."""

    #: {room: seq from which on it hears it}
    rooms: Mapping[str, int]
    #: The same of direct conversations, of those in which it is known.
    direct: Mapping[str, int]
    #: Whether the store has the rooms.
    kept: bool = False

    @property
    def floors(self) -> dict[str, int]:
        """Return both."""
        return {**self.direct, **self.rooms}


class Saved(NamedTuple):
    """The state of a connection that went."""

    id: str
    namespace: str
    #: The site's rooms: {name: number of the newest packet when it joined}
    rooms: Mapping[str, int]
    data: dict[str, Any]
    user_id: str | None
    #: For whom it was told things: {rooms, users, its namespace: number of the packet after which that holds}
    scopes: Mapping[Any, int]
    #: Sessions that it has been on: what they said themselves, they do not hear.
    sids: frozenset[str]
    #: Number of the newest packet when it came, for a client that was told nothing since.
    position: int
    seat: Subscriptions | None = None
    until: float = 0.0


class _Entry(NamedTuple):
    at: float
    namespace: str
    scopes: tuple[Any, ...]
    sid: str | None
    stored: Stored | None
    frames: bytes


class Recovery:
    """Keeps packets and states for a while. `dropped(saved)` is told of a state that nobody came back to in time."""

    def __init__(
        self,
        seconds: float,
        clock: Callable[[], float],
        dropped: Callable[[Saved], None] = lambda saved: None,
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._dropped = dropped
        #: Random number of this process.
        self.origin = secrets.randbits(31)
        self.cursor = Cursor()
        self._entries: deque[_Entry] = deque()
        self._first = 1
        self._size = 0
        self._saved: OrderedDict[str, Saved] = OrderedDict()
        #: Connections that are here.
        self.present = 0

    def follow(self, progress: Progress) -> None:
        """Let offsets tell how far this process has delivered what is stored."""
        self.origin, self.cursor.progress = progress.origin, progress

    @property
    def enabled(self) -> bool:
        """Whether clients are told a pid and offsets at all."""
        return self._seconds > 0

    @property
    def keeps(self) -> bool:
        """Whether packets are worth keeping: somebody is here, or away."""
        return bool(self.present or self._saved)

    @property
    def position(self) -> int:
        """Number of the newest packet."""
        return self._first + len(self._entries) - 1

    # ---- packets -------------------------------------------------------------------------------------------------

    def note(
        self,
        namespace: str,
        scopes: tuple[Any, ...],
        skip: object,
        kind: int,
        said: Prepared,
        place: bytes = b"",
        stored: Stored | None = None,
    ) -> bytes:
        """Return the frames of what is `said`, and keep them for those in `scopes`, but for the session `skip`.

        They are to be sent now: packets are numbered in the order in which clients hear them.
        """
        prefix = packets.prefix(namespace)
        if not self.enabled:
            return packets.assemble(kind, prefix, None, said)
        self.expire()
        frames = packets.assemble(
            kind, prefix, None, said, offsets.write(self.origin, self.position + 1, place)
        )
        sid = getattr(getattr(skip, "wire", None), "sid", None)
        self._entries.append(_Entry(self._clock(), namespace, scopes, sid, stored, frames))
        self._size += len(frames)
        return frames

    def offset(self, place: bytes) -> bytes | None:
        """Return the offset of what is told to some clients now, though it is no packet that is kept."""
        return offsets.write(self.origin, self.position, place) if self.enabled else None

    def reaches(self, position: int) -> bool:
        """Tell whether every packet after that one is kept."""
        self.expire()
        return self._first - 1 <= position <= self.position

    def missed(self, saved: Saved, known: Container[Stored] = ()) -> list[bytes]:
        """Return the frames after `saved.position`, in order, for who is in its scopes, but what is `known`."""
        skip = max(0, saved.position + 1 - self._first)
        return [
            entry.frames
            for number, entry in enumerate(self._entries)
            if number >= skip
            and entry.namespace == saved.namespace
            and entry.sid not in saved.sids
            and _is_for(saved, entry, self._first + number)
            and entry.stored not in known
        ]

    def firsts_after(self, number: int) -> dict[str, int]:
        """Return {room or conversation: seq of the first message} of what was said after that packet."""
        firsts: dict[str, int] = {}
        for entry in islice(reversed(self._entries), self.position - number):
            if entry.stored is not None:
                room, seq = entry.stored
                firsts[room] = seq
        return firsts

    # ---- states --------------------------------------------------------------------------------------------------

    def save(self, pid: str, saved: Saved) -> None:
        """Keep the state of a connection that went."""
        self._saved[pid] = saved._replace(until=self._clock() + self._seconds)
        if len(self._saved) > KEPT_SESSIONS:
            self._dropped(self._saved.popitem(last=False)[1])

    def take(self, pid: str, namespace: str, user_id: str | None) -> Saved | None:
        """Return the state of the connection of that pid, once, to its own user."""
        self.expire()
        saved = self._saved.get(pid)
        if saved is None or (saved.namespace, saved.user_id) != (namespace, user_id):
            return None
        return self._saved.pop(pid)

    def saved(self, pid: str) -> Saved | None:
        """Return the state of the connection of that pid that is away, and leave it here."""
        self.expire()
        return self._saved.get(pid)

    def stands(self, saved: Saved, offset: Offset | None) -> int | None:
        """Return the number of the last packet that the client has heard; None where that is not known here."""
        if offset is None:
            return saved.position
        # Before it came it was owed nothing, though its client may remember an offset from then.
        return max(offset.number, saved.position) if offset.origin == self.origin else None

    def expire(self) -> None:
        """Drop what is too old, or too much."""
        now = self._clock()
        entries = self._entries
        while entries and (entries[0].at < now - self._seconds or self._size > KEPT_BYTES):
            self._size -= len(entries.popleft().frames)
            self._first += 1
        while self._saved and next(iter(self._saved.values())).until < now:
            self._dropped(self._saved.popitem(last=False)[1])


def _is_for(saved: Saved, entry: _Entry, number: int) -> bool:
    scopes = saved.scopes
    if not any(scope in scopes and number > scopes[scope] for scope in entry.scopes):
        return False
    if entry.stored is None or saved.seat is None:
        return True
    room, seq = entry.stored
    return seq >= saved.seat.rooms.get(room, saved.seat.direct.get(room, 0))
