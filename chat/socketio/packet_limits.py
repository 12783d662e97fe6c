"""What one Socket.IO client may cost: packets a second, and bytes of events that it has not finished.

The chat's own events count against their user (rooms/limits.py). Every other packet counts here, once for its session,
because it may come before any log-in.
"""

from __future__ import annotations

from collections import Counter

from ..config import Settings
from ..rooms.limits import TokenBucket

#: A session's packets may be so many times the messages of a user: a site's own events are small and frequent (cursors,
#: progress), and cost less than stored messages.
PACKETS_A_MESSAGE = 5
#: Attachments that count as much as one packet.
ATTACHMENTS_A_PACKET = 4
#: Bytes of unfinished events from one address and from all together; never less than one whole event.
HELD_PER_ADDRESS = 16 * 1024 * 1024
HELD_IN_TOTAL = 128 * 1024 * 1024


class PacketRate:
    """The token bucket of one session: PACKETS_A_MESSAGE times CHAT_RATE_LIMIT and CHAT_RATE_BURST."""

    __slots__ = ("_bucket", "_burst", "_flood_limit")

    def __init__(self, settings: Settings, now: float) -> None:
        rate = PACKETS_A_MESSAGE * settings.rate_limit
        self._burst = PACKETS_A_MESSAGE * settings.rate_burst
        self._flood_limit = settings.flood_limit
        self._bucket = TokenBucket(rate, self._burst, now) if rate > 0 else None

    def take(self, now: float, packets: float = 1.0) -> float:
        """Count so many packets and return 0, or return the seconds after which they would be allowed."""
        return self._bucket.take(now, min(self._burst, packets)) if self._bucket is not None else 0.0

    @property
    def is_flooded(self) -> bool:
        """Whether CHAT_FLOOD_LIMIT packets in a row were refused."""
        return self._bucket is not None and self._bucket.refused >= self._flood_limit


class HeldBytes:
    """The bytes of events whose attachments have not all arrived. `event` is the size of the largest event."""

    def __init__(self, event: int) -> None:
        self._per_address = max(HELD_PER_ADDRESS, event)
        self._in_total = max(HELD_IN_TOTAL, event)
        self._addresses: Counter[str] = Counter()
        self._total = 0

    def add(self, address: str, size: int) -> bool:
        """Count `size` more bytes from an address; False, counting none, where there are too many."""
        # Clients behind a Unix socket have no address; together they may hold as much as all.
        limit = self._per_address if address else self._in_total
        if self._addresses[address] + size > limit or self._total + size > self._in_total:
            self.remove(address, 0)
            return False
        self._addresses[address] += size
        self._total += size
        return True

    def remove(self, address: str, size: int) -> None:
        """Undo what `add` has counted."""
        self._total -= size
        self._addresses[address] -= size
        if not self._addresses[address]:
            del self._addresses[address]
