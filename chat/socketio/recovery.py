"""Connection state recovery in memory: recent packets, and the state of clients that were cut off.

As Socket.IO servers do from 4.6 on: CONNECT gives the client a `pid`, every event that may be missed ends with an
offset, and a client that reconnects sends both. This memory belongs to one process; replay.py reads from the store
what it does not hold.
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

#: Bytes of packets and number of disconnected sessions that are kept; the oldest are dropped first.
KEPT_BYTES = 16_777_216
KEPT_SESSIONS = 10_000

#: Identifies a stored message: the name of its room or conversation, and its seq.
MessageKey = tuple[str, int]


class Subscriptions(NamedTuple):
    """The chat rooms and conversations of a connection. A floor is the first seq that is delivered live."""

    #: {room: floor}
    rooms: Mapping[str, int]
    #: {direct conversation: floor}, of those conversations in which it is known.
    direct: Mapping[str, int]
    #: Whether the store has the rooms.
    is_stored: bool = False

    @property
    def floors(self) -> dict[str, int]:
        """Return the floors of both."""
        return {**self.direct, **self.rooms}


class Saved(NamedTuple):
    """The state of a disconnected connection."""

    id: str
    namespace: str
    #: The site's rooms: {name: number of the newest packet when it joined}
    rooms: Mapping[str, int]
    data: dict[str, Any]
    user_id: str | None
    #: Its scopes (its rooms, its user, its namespace): {scope: number of the packet after which it was in it}
    scopes: Mapping[Any, int]
    #: The Engine.IO sessions that it has used: it does not receive what they skip.
    sids: frozenset[str]
    #: Number of the newest packet at its CONNECT: the position of a client that has received no event since.
    position: int
    subscriptions: Subscriptions | None = None
    until: float = 0.0


class _Entry(NamedTuple):
    at: float
    namespace: str
    scopes: tuple[Any, ...]
    sid: str | None
    key: MessageKey | None
    frames: bytes
    #: Rooms of the site, and ids of connections, that do not receive it.
    skipped: tuple[str, ...] = ()


class Recovery:
    """Keeps packets and states for `seconds`. `on_expired(saved)` is called for each state that was never resumed."""

    def __init__(
        self,
        seconds: float,
        clock: Callable[[], float],
        on_expired: Callable[[Saved], None] = lambda saved: None,
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._on_expired = on_expired
        #: Random number of this process.
        self.origin = secrets.randbits(31)
        self.cursor = Cursor()
        self._entries: deque[_Entry] = deque()
        self._first = 1
        self._size = 0
        self._saved: OrderedDict[str, Saved] = OrderedDict()
        #: Number of connections, those that are being resumed included.
        self.connections = 0

    def follow(self, progress: Progress) -> None:
        """Have offsets report how much of the store this process has delivered."""
        self.origin, self.cursor.progress = progress.origin, progress

    @property
    def enabled(self) -> bool:
        """Whether clients are given a pid and offsets at all."""
        return self._seconds > 0

    @property
    def keeps(self) -> bool:
        """Whether packets are worth keeping: a client is connected, or may reconnect."""
        return bool(self.connections or self._saved)

    @property
    def position(self) -> int:
        """Number of the newest packet."""
        return self._first + len(self._entries) - 1

    # ---- packets -------------------------------------------------------------------------------------------------

    def record(
        self,
        namespace: str,
        scopes: tuple[Any, ...],
        skip: object,
        kind: int,
        prepared: Prepared,
        store: bytes = b"",
        key: MessageKey | None = None,
        skipped: tuple[str, ...] = (),
    ) -> bytes:
        """Return the frames of a packet, and keep them for clients in `scopes`, but for the member `skip`.

        `skipped` are rooms of the site, and ids of connections, that do not receive it either.

        `store` is the store part of the packet's offset; `key` identifies the message that it carries, if that is
        stored. The caller sends the frames at once: packets are numbered in the order in which clients receive them.
        """
        prefix = packets.prefix(namespace)
        if not self.enabled:
            return packets.assemble(kind, prefix, None, prepared)
        self.expire()
        frames = packets.assemble(
            kind, prefix, None, prepared, offsets.write(self.origin, self.position + 1, store)
        )
        sid = getattr(getattr(skip, "wire", None), "sid", None)
        self._entries.append(_Entry(self._clock(), namespace, scopes, sid, key, frames, skipped))
        self._size += len(frames)
        return frames

    def offset(self, store: bytes) -> bytes | None:
        """Return the offset of a packet that is sent now and not kept; `store` is its store part."""
        return offsets.write(self.origin, self.position, store) if self.enabled else None

    def covers(self, position: int) -> bool:
        """Tell whether every packet after `position` is kept."""
        self.expire()
        return self._first - 1 <= position <= self.position

    def missed(self, saved: Saved, known: Container[MessageKey] = ()) -> list[bytes]:
        """Return the frames after `saved.position` in the scopes of `saved`, in order, without those of `known`."""
        skip = max(0, saved.position + 1 - self._first)
        return [
            entry.frames
            for number, entry in enumerate(self._entries)
            if number >= skip
            and entry.namespace == saved.namespace
            and entry.sid not in saved.sids
            and _is_for(saved, entry, self._first + number)
            and not _is_skipped(saved, entry, self._first + number)
            and entry.key not in known
        ]

    def first_seqs_after(self, position: int) -> dict[str, int]:
        """Return {room or conversation: seq of its first message} for the packets after `position`."""
        firsts: dict[str, int] = {}
        for entry in islice(reversed(self._entries), self.position - position):
            if entry.key is not None:
                room, seq = entry.key
                firsts[room] = seq
        return firsts

    # ---- states --------------------------------------------------------------------------------------------------

    def save(self, pid: str, saved: Saved) -> None:
        """Keep the state of a connection that has ended."""
        self._saved[pid] = saved._replace(until=self._clock() + self._seconds)
        if len(self._saved) > KEPT_SESSIONS:
            self._on_expired(self._saved.popitem(last=False)[1])

    def take(self, pid: str, namespace: str, user_id: str | None) -> Saved | None:
        """Return the saved state of that pid, once, and only to its own user."""
        self.expire()
        saved = self._saved.get(pid)
        if saved is None or (saved.namespace, saved.user_id) != (namespace, user_id):
            return None
        return self._saved.pop(pid)

    def saved(self, pid: str) -> Saved | None:
        """Return the saved state of that pid, and keep it."""
        self.expire()
        return self._saved.get(pid)

    def position_of(self, saved: Saved, offset: Offset | None) -> int | None:
        """Return the number of the last packet that the client has received; None where it cannot be known here."""
        if offset is None:
            return saved.position
        # A client may present an offset from before this connection; it missed nothing from before its CONNECT.
        return max(offset.number, saved.position) if offset.origin == self.origin else None

    def expire(self) -> None:
        """Drop what is too old, or too much."""
        now = self._clock()
        entries = self._entries
        while entries and (entries[0].at < now - self._seconds or self._size > KEPT_BYTES):
            self._size -= len(entries.popleft().frames)
            self._first += 1
        while self._saved and next(iter(self._saved.values())).until < now:
            self._on_expired(self._saved.popitem(last=False)[1])


def _is_for(saved: Saved, entry: _Entry, number: int) -> bool:
    scopes = saved.scopes
    if not any(scope in scopes and number > scopes[scope] for scope in entry.scopes):
        return False
    subscriptions = saved.subscriptions
    if entry.key is None or subscriptions is None:
        return True
    room, seq = entry.key
    return seq >= subscriptions.rooms.get(room, subscriptions.direct.get(room, 0))


def _is_skipped(saved: Saved, entry: _Entry, number: int) -> bool:
    return any(name == saved.id or number > saved.rooms.get(name, number) for name in entry.skipped)
