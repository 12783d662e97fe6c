"""How many requests a user and an address may make of the API: a token bucket each, in this process."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from ...config import Settings
from ...identity.networks import network_of
from ...loop.drivers import allocate_lock
from ...rooms.limits import TokenBucket
from ...wire.errors import ChatError

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

    def _bucket(self, key: str) -> TokenBucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(self._rate, self._burst, self._clock())
            if len(self._buckets) > MAX_BUCKETS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return bucket


class Rates:
    """The rates of one app's API."""

    def __init__(self, settings: Settings) -> None:
        self._users = Rate(settings.api_rate, settings.api_burst)
        self._addresses = Rate(settings.api_rate_per_ip, settings.api_burst_per_ip)

    def count_address(self, address: str | None) -> None:
        """Count a request from an address; a client behind a Unix socket has none."""
        self._addresses.count(network_of(address or ""))

    def count_user(self, user_id: str) -> None:
        """Count a request of a user."""
        self._users.count(user_id)
