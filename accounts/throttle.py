"""How often one may try: a sliding window for each key, in this process's memory; shared_throttle.py is for several.

A restart forgets, which is nothing to somebody who guesses passwords.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

#: Keys held at once; beyond it the one that has been quiet for longest is forgotten.
MAX_KEYS = 20_000


class Throttle:
    """Let each key through `limit` times in any `seconds`; `clock` returns seconds that never go back."""

    def __init__(self, limit: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def take(self, key: str) -> int:
        """Count one try and return 0, or count none and return the whole seconds to wait."""
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
        """Uncount the last try of this key: it was a good one."""
        with self._lock:
            times = self._times.get(key)
            if times:
                times.pop()
            if not times:
                self._times.pop(key, None)
