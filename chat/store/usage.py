"""What users have stored today, as one process knows it: the count behind CHAT_STORE_QUOTA.

A row for each message would cost a fifth of what storing the message does, so a user's count is written in steps, and
read again with each. A process that is killed loses less than a step of each user. Near the quota, and for a small
quota always, each message is counted in the store, so that all processes together keep to it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping

#: Bytes that are counted in this process before they are written.
STEP = 65_536
#: "Near the quota" is this part of it, or so many bytes if these are more.
NEAR_PART, NEAR_BYTES = 4, 1_000_000
#: Users whose counts are remembered. Of others the store is asked again, and less than a step of each is lost.
MAX_USERS = 20_000


class _Count:
    __slots__ = ("day", "pending", "stored")

    def __init__(self, day: int, stored: int, pending: int) -> None:
        self.day = day
        #: Bytes in the store when it was asked last, and bytes that are yet to be written there.
        self.stored = stored
        self.pending = pending


class Usage:
    """The bytes that each user has stored on a day (a number of days since 1970). From any thread."""

    def __init__(self, quota: int) -> None:
        self.quota = quota
        self._near = quota - max(quota // NEAR_PART, NEAR_BYTES)
        self._lock = threading.Lock()
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def unknown(self, user_ids: Iterable[str], day: int) -> list[str]:
        """Return those of the users of whom the store has to be asked."""
        counts, near = self._counts, self._near
        with self._lock:
            found = [(id, counts.get(id)) for id in user_ids]
        return [
            id
            for id, count in found
            if count is None or count.day < day or count.stored + count.pending > near
        ]

    def learn(self, user_ids: Iterable[str], found: Mapping[str, int], day: int) -> None:
        """Remember what the store says of users: `found` bytes of that day, or none."""
        with self._lock:
            for id in user_ids:
                count = self._counts.get(id)
                pending = count.pending if count is not None and count.day >= day else 0
                self._counts[id] = _Count(day, found.get(id, 0), pending)
            while len(self._counts) > MAX_USERS:
                self._counts.popitem(last=False)

    def used(self, user_ids: Iterable[str]) -> dict[str, int]:
        """Return {id: bytes} of those of the users who are known."""
        counts = self._counts
        with self._lock:
            return {id: count.stored + count.pending for id in user_ids if (count := counts.get(id))}

    def due(self, added: Mapping[str, int]) -> dict[str, int]:
        """Return {id: bytes} that are to be written with these `added` ones."""
        due: dict[str, int] = {}
        counts, near = self._counts, self._near
        with self._lock:
            for id, n in added.items():
                count = counts.get(id)
                stored, pending = (count.stored, count.pending + n) if count is not None else (0, n)
                if pending >= STEP or stored + pending > near:
                    due[id] = pending
        return due

    def add(self, added: Mapping[str, int], written: Mapping[str, int], stored: Mapping[str, int]) -> None:
        """Count `added` bytes after their commit. Of them and of pending ones, `written` are among the `stored` now."""
        counts = self._counts
        with self._lock:
            for id, n in added.items():
                if count := counts.get(id):
                    count.pending += n
            for id, n in written.items():
                if count := counts.get(id):
                    count.pending -= n
                    count.stored = stored[id]
