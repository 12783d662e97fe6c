"""How much one may say."""

from __future__ import annotations


class TokenBucket:
    """Let `rate` things a second through, and `burst` of them at once.

    The clock is the caller's: seconds that never go back. The rate is above 0.
    """

    __slots__ = ("_rate", "_burst", "_tokens", "_at", "refused")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._at = now
        #: How many were refused since the last that went through.
        self.refused = 0

    def is_full(self, now: float) -> bool:
        """Tell whether the whole burst is there again."""
        return self._tokens + (now - self._at) * self._rate >= self._burst

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
