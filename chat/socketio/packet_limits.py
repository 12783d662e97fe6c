"""What one Socket.IO client may cost: packets a second, and bytes of events that it has not finished.

The chat's own events count against their user (rooms/limits.py). Every other packet counts here, once for its session,
because it may come before any log-in.
"""

from __future__ import annotations

from collections import Counter

from ..config import Settings

#: A session's packets may be so many times the messages of a user: a site's own events are small and frequent (cursors,
#: progress), and cost less than stored messages.
PACKETS_A_MESSAGE = 5
#: Bytes of the largest message of a client that has not connected to a namespace yet: a CONNECT with its token.
BEFORE_CONNECT = 32 * 1024
#: Attachments that count as much as one packet.
ATTACHMENTS_A_PACKET = 4
#: Bytes of unfinished events from one address and from all together; never less than one whole event.
HELD_PER_ADDRESS = 16 * 1024 * 1024
HELD_IN_TOTAL = 128 * 1024 * 1024


class PacketRate:
    """What each session may send: PACKETS_A_MESSAGE times CHAT_RATE_LIMIT and CHAT_RATE_BURST.

    One for all sessions, each of which keeps a single number: when its whole burst is available again.
    """

    def __init__(self, settings: Settings) -> None:
        self._rate = PACKETS_A_MESSAGE * settings.rate_limit
        self._burst = PACKETS_A_MESSAGE * settings.rate_burst
        #: Packets in a row that are refused before the session is closed.
        self.flood_limit = settings.flood_limit

    def take(self, full_at: float, now: float, packets: float) -> tuple[float, float]:
        """Return (0, the new `full_at`), or (the seconds until so many packets are allowed, `full_at`)."""
        if self._rate <= 0:
            return 0.0, full_at
        whole = max(full_at, now) + min(self._burst, packets) / self._rate
        wait = whole - now - self._burst / self._rate
        return (wait, full_at) if wait > 0 else (0.0, whole)


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
