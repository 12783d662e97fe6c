"""A rate limit: a sliding window for each key, in this process's memory. shared_throttle.py covers several workers.

A restart resets it, which hardly helps an attacker who guesses passwords.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

#: Maximum number of keys; beyond it, the least recently used is dropped.
MAX_KEYS = 20_000


class Throttle:
    """Allow each key `limit` attempts in any `seconds`; `clock` returns monotonic seconds."""

    def __init__(self, limit: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def take(self, key: str) -> int:
        """Count an attempt and return 0, or count none and return the whole seconds to wait."""
        now = self._clock()
        with self._lock:
            times = self._times.setdefault(key, deque())
            self._times.move_to_end(key)
            while times and times[0] <= now - self._seconds:
                times.popleft()
            if len(times) >= self._limit:
                return math.ceil(times[0] + self._seconds - now)
            times.append(now)
            if len(self._times) > MAX_KEYS:
                self._times.popitem(last=False)
            return 0

    def give_back(self, key: str) -> None:
        """Remove the last attempt of this key from the count, because it succeeded."""
        with self._lock:
            times = self._times.get(key)
            if times:
                times.pop()
            if not times:
                self._times.pop(key, None)
