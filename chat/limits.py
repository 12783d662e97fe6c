"""How much one may do: token buckets for messages, counted places for connections."""

from __future__ import annotations

from collections import Counter


class TokenBucket:
    """Let `rate` things a second through, and `burst` of them at once.

    The clock is the caller's: seconds that never go back. A rate of 0 lets everything through.
    """

    __slots__ = ("_rate", "_burst", "_tokens", "_at", "refused")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._at = now
        #: How many were refused since the last that went through.
        self.refused = 0

    def take(self, now: float) -> float:
        """Take one token and return 0, or take none and return the seconds until there is one."""
        tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if tokens < 1:
            self._tokens = tokens
            self.refused += 1
            return (1 - tokens) / self._rate
        self._tokens = tokens - 1
        self.refused = 0
        return 0


class Places:
    """Count what is open in all, per user and per address; not thread-safe, the hub's lock guards it."""

    def __init__(self, total: int, per_user: int, per_address: int) -> None:
        self._total = total
        self._per_user = per_user
        self._per_address = per_address
        self._taken = 0
        self._users: Counter[str] = Counter()
        self._addresses: Counter[str] = Counter()

    def take(self, user_id: str, address: str) -> str | None:
        """Take a place and return None, or take none and return the code of the error that says which is full."""
        if self._taken >= self._total:
            return "server_full"
        if self._users[user_id] >= self._per_user:
            return "too_many_for_user"
        if self._addresses[address] >= self._per_address:
            return "too_many_for_address"
        self._taken += 1
        self._users[user_id] += 1
        self._addresses[address] += 1
        return None

    def give_back(self, user_id: str, address: str) -> None:
        """Free a place that `take` gave."""
        self._taken -= 1
        _decrement(self._users, user_id)
        _decrement(self._addresses, address)


def _decrement(counter: Counter[str], key: str) -> None:
    if counter[key] > 1:
        counter[key] -= 1
    else:
        del counter[key]
