"""The contract of a broker, in forty lines. tests/contract/test_broker.py holds every broker to it."""

from __future__ import annotations

from typing import Protocol


class Listener(Protocol):
    """Who a broker tells things. Its methods are called outside the loop, one at a time, and may wait for the loop."""

    def received(self, hints: list[tuple[str, int, bytes]]) -> None:
        """Take hints of others: (channel, sender, payload), those of a sender on a channel in the order of sending."""

    def subscribed(self, channels: list[str]) -> None:
        """Take note that what is published in these channels from now on arrives, as far as anything does."""

    def changed(self, is_up: bool) -> None:
        """Take note that hints go through again, or do not any more. A broker begins as one that is not up."""


class Broker(Protocol):
    """Carries hints between the processes of one site, by channel.

    At most once: any hint may be lost, also the last one, and nobody is told. So nothing may hang on one; what must not
    be lost is found in the store. No process hears its own. What is in a payload is the listeners' affair.
    """

    @property
    def is_up(self) -> bool:
        """Whether hints go through, as far as is known; it takes some seconds to notice that nobody answers."""

    def silent_for(self) -> float:
        """Return the seconds since anything has come through, one's own hints included."""

    def counts(self) -> dict[str, int]:
        """Return how many hints were sent, taken, and dropped unsent, and how often it connected."""

    @property
    def alone(self) -> bool:
        """Whether there can be nobody else, so that nothing need be published at all."""

    def begin(self, listener: Listener) -> None:
        """Go to work in the background, and never stop by itself. Called once."""

    def publish(self, channel: str, payload: bytes) -> None:
        """Send a hint to whoever subscribes to the channel; from any thread. It never blocks and never raises."""

    def flush(self) -> None:
        """Have what was published leave now if that takes no waiting, as it does soon in any case; in the loop."""

    def subscribe(self, *channels: str) -> None:
        """Ask for what is published there; from any thread, never blocks. It holds over a loss of the connection."""

    def unsubscribe(self, *channels: str) -> None:
        """Ask for it no more; a hint may still come."""

    def close(self) -> None:
        """Stop, for good."""
