"""A rate for each of many keys, such as addresses: a token bucket each, in this process."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from ..loop.drivers import allocate_lock
from ..wire.errors import ChatError
from .limits import TokenBucket

#: Buckets of each kind. Beyond it the one that was unused for the longest is dropped: it is full, or nearly.
MAX_BUCKETS = 20_000


class Rate:
    """Allows each key `rate` requests a second and `burst` at once; a rate of 0 allows everything. From any thread."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._lock = allocate_lock()
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def count(self, key: str) -> None:
        """Count a request; raise ChatError too_many_requests where it exceeds the rate. "" is nobody's key."""
        if not self._rate or not key:
            return
        with self._lock:
            wait = self._bucket(key).take(self._clock())
        if wait:
            raise ChatError("too_many_requests", retry_after=wait)

    def is_exceeded(self, key: str) -> bool:
        """Return whether `count` would raise now; it counts nothing."""
        with self._lock:
            bucket = self._buckets.get(key)
            return bucket is not None and bucket.wait(self._clock()) > 0

    def _bucket(self, key: str) -> TokenBucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(self._rate, self._burst, self._clock())
            if len(self._buckets) > MAX_BUCKETS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return bucket


def connect_rate(places: int) -> Rate:
    """Return how fast each address may open connections, of which it may have so many at the same time.

    A fifth of them a second, in bursts of twice as many: an office may come back at once after a restart, twice.
    """
    return Rate(max(10, places / 5), max(100, 2 * places))
