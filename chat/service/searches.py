"""Searches of users: how many may be under way, so that one user's do not keep the others waiting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..loop.drivers import allocate_lock
from ..store.history import Message, SearchTooLong
from ..wire.errors import ChatError
from .stores import Stores

#: Searches that may be under way in this process: of one user, and of all users together, waiting ones included.
PER_USER = 2
ALL = 20
#: Seconds after which a refused search may be tried again.
RETRY_AFTER = 1.0


class Searches:
    """Searches messages. A search beyond the limits is refused at once: waiting, it would hold a server's thread."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._lock = allocate_lock()
        self._under_way: Counter[str] = Counter()

    def search(
        self, user_id: str, text: str, room_ids: Sequence[int], before_pk: int | None, limit: int
    ) -> list[Message]:
        """Return the result of History.search; raise ChatError: search_busy or search_too_long."""
        with self._place(user_id):
            try:
                return self._stores.open().history.search(text, room_ids, before_pk, limit)
            except SearchTooLong:
                raise ChatError("search_too_long") from None

    @contextmanager
    def _place(self, user_id: str) -> Iterator[None]:
        with self._lock:
            if self._under_way[user_id] >= PER_USER or self._under_way.total() >= ALL:
                raise ChatError("search_busy", retry_after=RETRY_AFTER)
            self._under_way[user_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way[user_id] -= 1
                if not self._under_way[user_id]:
                    del self._under_way[user_id]
