"""Counters of one loop, as plain numbers, so that counting costs almost nothing. web/metrics.py exports them."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter


class Histogram:
    """Counts observed values by bucket."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count `value` in the bucket of the lowest bound that is not below it."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Stats:
    """Counters of one app's chat in one process since its first socket. Only the loop writes them."""

    def __init__(self) -> None:
        self.messages_in = 0
        self.bytes_in = 0
        #: Frames and bytes sent to clients, counted once for each receiving client.
        self.messages_out = 0
        self.bytes_out = 0
        #: Errors sent, by code; connections closed, by close code.
        self.errors: Counter[str] = Counter()
        self.closes: Counter[int] = Counter()
        #: Messages of other processes that were read from the store because their bus message did not arrive.
        self.late = 0
        #: Seconds of each tick; bytes that each flush of a room sends to a member.
        self.ticks = Histogram((0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0))
        self.flushes = Histogram((128, 512, 2048, 8192, 32_768, 131_072, 524_288))
        #: Messages in each store transaction, and the seconds that it took.
        self.batches = Histogram((1, 2, 4, 8, 16, 32, 64, 128, 256, 512))
        self.commits = Histogram((0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0))
