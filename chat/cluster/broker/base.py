"""The contract of a broker, which carries bus messages between the processes of one site.

tests/contract/test_broker.py runs one suite against every broker: memory.py and redis.py.
"""

from __future__ import annotations

from typing import Protocol

#: (channel, number of the sending process, payload).
BusMessage = tuple[str, int, bytes]


class Listener(Protocol):
    """What a broker reports to. It is called outside the loop, one call at a time, and may wait for the loop."""

    def received(self, messages: list[BusMessage]) -> None:
        """Handle messages of other processes, ordered as sent for each sender and channel."""

    def subscribed(self, channels: list[str]) -> None:
        """Note that messages published in these channels from now on will arrive, unless they are lost."""

    def connection_changed(self, is_up: bool) -> None:
        """Note that the broker is connected, or is no longer. A broker starts disconnected."""


class Broker(Protocol):
    """Carries bus messages between the processes of one site, by channel.

    Delivery is at most once: any message may be lost, even the last one, and no process is told. Data that must not be
    lost belongs in the store. A process does not receive its own messages. A payload is any bytes.
    """

    @property
    def is_up(self) -> bool:
        """Whether the broker is connected, as far as it knows. It takes seconds to notice a server that hangs."""

    @property
    def alone(self) -> bool:
        """Whether there can be no other process. Then there is no need to publish anything."""

    def idle_seconds(self) -> float:
        """Return the seconds since anything arrived from the server, including this process's own messages."""

    def counts(self) -> dict[str, int]:
        """Return how many messages were `sent`, `taken` (received) and `dropped` unsent, and times `connected`."""

    def start(self, listener: Listener) -> None:
        """Start working in the background, until `close`. Call it once."""

    def publish(self, channel: str, payload: bytes) -> None:
        """Send a message to the other subscribers of the channel; from any thread. Never blocks, never raises."""

    def flush(self) -> None:
        """Send published messages now if that needs no waiting, instead of soon; in the loop."""

    def subscribe(self, *channels: str) -> None:
        """Subscribe to channels; from any thread, never blocks. Subscriptions survive a lost connection."""

    def unsubscribe(self, *channels: str) -> None:
        """End subscriptions. Messages that are under way may still arrive."""

    def close(self) -> None:
        """Stop for good."""
