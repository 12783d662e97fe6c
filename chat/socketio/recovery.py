"""Connection state recovery: what was said lately, and the state of who went without a good-bye.

As Socket.IO servers do from 4.6 on: CONNECT gives the client a `pid`, every event that may be missed ends with an
offset, and a client that comes back sends both. This memory is of one process; `Recovery` is what a stored history has
to be in its place.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from . import packets
from .packets import Prepared

#: Bytes of packets that are kept, and sessions of clients that are away; the oldest go first.
KEPT_BYTES = 16_777_216
KEPT_SESSIONS = 10_000


class Saved(NamedTuple):
    """The state of a connection that went."""

    id: str
    namespace: str
    rooms: frozenset[str]
    data: dict[str, Any]
    user_id: str | None
    #: For whom it was told things: rooms, users, its namespace.
    scopes: frozenset[Any]
    #: Sessions that it has been on: what they said themselves, they do not hear.
    sids: frozenset[str]
    #: Number of the newest packet when it came, for a client that was told nothing since.
    position: int
    until: float


class Recovery(Protocol):
    """Keeps packets and states, for a while."""

    @property
    def enabled(self) -> bool:
        """Whether clients are told a pid and offsets at all."""

    @property
    def keeps(self) -> bool:
        """Whether packets are worth keeping: somebody is here, or away."""

    @property
    def position(self) -> int:
        """Number of the newest packet."""

    def note(self, namespace: str, scopes: tuple[Any, ...], skip: object, kind: int, said: Prepared) -> bytes:
        """Return the frames of what is `said`, and keep them for those in `scopes`, but for the session `skip`."""

    def save(self, pid: str, saved: Saved) -> None:
        """Keep the state of a connection that went."""

    def recall(self, pid: str, offset: str | None, namespace: str) -> Saved | None:
        """Return that state, once, with `position` where the client stands; None where something would be missing."""

    def missed(self, saved: Saved) -> list[bytes]:
        """Return the frames said since, in order, for who is in the scopes of `saved`."""


class _Entry(NamedTuple):
    at: float
    namespace: str
    scopes: tuple[Any, ...]
    sid: str | None
    frames: bytes


class MemoryRecovery:
    """Recovery within one process."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._prefix = secrets.token_hex(4) + "-"
        self._entries: deque[_Entry] = deque()
        self._first = 1
        self._size = 0
        self._saved: OrderedDict[str, Saved] = OrderedDict()
        #: Connections that are here.
        self.present = 0

    @property
    def enabled(self) -> bool:
        return self._seconds > 0

    @property
    def keeps(self) -> bool:
        return bool(self.present or self._saved)

    @property
    def position(self) -> int:
        return self._first + len(self._entries) - 1

    def note(self, namespace: str, scopes: tuple[Any, ...], skip: object, kind: int, said: Prepared) -> bytes:
        prefix = packets.prefix(namespace)
        if not self.enabled:
            return packets.assemble(kind, prefix, None, said)
        self._expire()
        offset = f"{self._prefix}{self.position + 1:x}".encode()
        frames = packets.assemble(kind, prefix, None, said, offset)
        sid = getattr(getattr(skip, "wire", None), "sid", None)
        self._entries.append(_Entry(self._clock(), namespace, scopes, sid, frames))
        self._size += len(frames)
        return frames

    def save(self, pid: str, saved: Saved) -> None:
        if self.enabled:
            self._saved[pid] = saved._replace(until=self._clock() + self._seconds)
            if len(self._saved) > KEPT_SESSIONS:
                self._saved.popitem(last=False)

    def recall(self, pid: str, offset: str | None, namespace: str) -> Saved | None:
        self._expire()
        saved = self._saved.get(pid)
        if saved is None or saved.namespace != namespace:
            return None
        position = saved.position if offset is None else self._number(offset)
        # One that was told of nothing older than what is still kept has missed nothing that is not.
        if position is None or not self._first - 1 <= position <= self.position:
            return None
        del self._saved[pid]
        return saved._replace(position=position)

    def missed(self, saved: Saved) -> list[bytes]:
        skip = max(0, saved.position + 1 - self._first)
        return [
            entry.frames
            for number, entry in enumerate(self._entries)
            if number >= skip
            and entry.namespace == saved.namespace
            and entry.sid not in saved.sids
            and not saved.scopes.isdisjoint(entry.scopes)
        ]

    def _number(self, offset: str) -> int | None:
        if not offset.startswith(self._prefix):
            return None
        try:
            return int(offset[len(self._prefix) :], 16)
        except ValueError:
            return None

    def _expire(self) -> None:
        now = self._clock()
        entries = self._entries
        while entries and (entries[0].at < now - self._seconds or self._size > KEPT_BYTES):
            self._size -= len(entries.popleft().frames)
            self._first += 1
        while self._saved and next(iter(self._saved.values())).until < now:
            self._saved.popitem(last=False)
