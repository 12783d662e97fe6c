"""What the loop counts about itself: plain numbers, so that counting costs next to nothing; metrics.py shows them."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter


class Histogram:
    """How often a value fell under each of some bounds."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count `value` under the lowest bound that it does not pass."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Stats:
    """The counters of one app's chat in one process, since its first socket; only the loop writes them."""

    def __init__(self) -> None:
        self.messages_in = 0
        self.bytes_in = 0
        #: Frames and bytes handed to clients, each counted for every client that it goes to.
        self.messages_out = 0
        self.bytes_out = 0
        #: Errors sent, by code, and connections ended, by close code.
        self.errors: Counter[str] = Counter()
        self.closes: Counter[int] = Counter()
        #: Messages of other processes that were read from the store, since no hint of them had come.
        self.late = 0
        #: Seconds of a tick, and bytes that a room's flush sends to each member.
        self.ticks = Histogram((0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0))
        self.flushes = Histogram((128, 512, 2048, 8192, 32_768, 131_072, 524_288))
        #: Messages of a transaction of the store, and the seconds that it took.
        self.batches = Histogram((1, 2, 4, 8, 16, 32, 64, 128, 256, 512))
        self.commits = Histogram((0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0))
