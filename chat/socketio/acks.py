"""The answers that are awaited of one client. In the loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .answers import Collector

#: Answers that are awaited of one client at a time; the oldest is forgotten first.
MAX_ACKS = 1_000

#: A function that is called with the parts of the answer, or what collects the answers of many clients.
Receiver = Callable[..., Any] | Collector


class Acks:
    """Who receives which answer of the client `id`, by the number of the event."""

    __slots__ = ("_id", "_receivers")

    def __init__(self, id: str) -> None:
        self._id = id
        self._receivers: dict[int, Receiver] = {}

    def expect(self, number: int, receiver: Receiver) -> None:
        """Have `receiver` get the answer to the event `number`."""
        self._receivers[number] = receiver
        if len(self._receivers) > MAX_ACKS:
            self._give_up(next(iter(self._receivers)))

    def take(self, number: int) -> Receiver | None:
        """Remove and return what receives the answer `number`; None where nobody waits for it."""
        return self._receivers.pop(number, None)

    def end(self) -> None:
        """Tell those who collect answers that this client will not answer any more."""
        for number in list(self._receivers):
            self._give_up(number)

    def _give_up(self, number: int) -> None:
        receiver = self._receivers.pop(number)
        if not callable(receiver):
            receiver.lost(self._id)
