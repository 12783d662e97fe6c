"""How many messages a user may send: a token bucket a user, kept across reconnects."""

from __future__ import annotations

#: Buckets kept for users who are not connected, before the full ones among them are dropped.
MAX_KEPT_BUCKETS = 10_000


class TokenBucket:
    """Allow `rate` messages a second, and `burst` of them at once.

    The caller supplies the clock: monotonic seconds. The rate is above 0.
    """

    __slots__ = ("_rate", "_burst", "_tokens", "_at", "refused")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._at = now
        #: Messages refused since the last one that was allowed.
        self.refused = 0

    def is_full(self, now: float) -> bool:
        """Tell whether the whole burst is available again."""
        return self._tokens + (now - self._at) * self._rate >= self._burst

    def wait(self, now: float) -> float:
        """Return the seconds until a token is available, 0 or less where one is."""
        return (1 - self._tokens) / self._rate + self._at - now

    def take(self, now: float) -> float:
        """Take one token and return 0, or take none and return the seconds until one is available."""
        tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if tokens < 1:
            self._tokens = tokens
            self.refused += 1
            return (1 - tokens) / self._rate
        self._tokens = tokens - 1
        self.refused = 0
        return 0


class UserRates:
    """The token buckets of users who are not connected, and the users who are blocked for flooding.

    All times are monotonic seconds, supplied by the caller. A rate of 0 limits nothing.
    """

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._kept: dict[str, TokenBucket] = {}
        self._blocked: dict[str, float] = {}

    def take_bucket(self, user_id: str, now: float) -> TokenBucket | None:
        """Return the bucket of a user who connects; None where no rate is set."""
        if not self._rate:
            return None
        return self._kept.pop(user_id, None) or TokenBucket(self._rate, self._burst, now)

    def keep_bucket(self, user_id: str, bucket: TokenBucket, now: float) -> None:
        """Keep the bucket of a user who has disconnected, so that a reconnect does not refill it."""
        if bucket.is_full(now):
            return
        self._kept[user_id] = bucket
        if len(self._kept) > MAX_KEPT_BUCKETS:
            self._kept = {id: kept for id, kept in self._kept.items() if not kept.is_full(now)}

    def block(self, user_id: str, seconds: float, now: float) -> None:
        """Refuse the connections of a flooding user for `seconds`."""
        self._blocked = {id: until for id, until in self._blocked.items() if until > now}
        self._blocked[user_id] = now + seconds

    def blocked_for(self, user_id: str, now: float) -> float:
        """Return the seconds for which a user is still blocked; 0 or less where the user is not."""
        return self._blocked.get(user_id, 0) - now if self._blocked else 0.0
