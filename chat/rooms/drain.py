"""Closes all clients with 1012, many of them in batches, so that they do not all reconnect at once."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterable

from ..wire.errors import CloseCode
from .client import Client
from .hub import Hub
from .member import Member

#: Seconds between two batches.
BATCH_INTERVAL = 0.1
#: Up to so many clients are closed in one batch: a server does not notice that they reconnect at once.
SINGLE_BATCH = 100
#: Seconds that a batch waits for the store, which may be unavailable, and between two checks.
STORE_TIMEOUT, STORE_POLL = 1.0, 0.005
#: Seconds that the last clients have to answer their close, while `wait` waits for them.
CLOSE_WAIT = 1.0


class Drain:
    """Empties one hub, in random order.

    `progress()` returns a function that tells whether all messages queued until that call are stored and acknowledged.
    """

    def __init__(self, hub: Hub, progress: Callable[[], Callable[[], bool]]) -> None:
        self._hub = hub
        self._progress = progress
        #: When the drain was started, when `wait` ends, when the last batch is due, and when it was closed.
        self._started = self._limit = self._end = self._closed = math.inf
        self._remaining: list[Member] = []

    def start(self, seconds: float) -> None:
        """Refuse new clients, and close all others within `seconds`; from any thread or signal handler.

        Of several calls, the one that ends first applies.
        """
        now = time.monotonic()
        self._started = min(self._started, now)
        self._limit = min(self._limit, now + seconds + STORE_TIMEOUT + CLOSE_WAIT)
        self._hub.draining = True
        self._hub.reactor.call_soon(self.schedule, seconds)

    def wait(self, seconds: float) -> bool:
        """Return once all clients are closed and have disconnected, or their time is over; True when all have.

        It returns `seconds` after the start at the latest. From any thread, but not from a tick.
        """
        end = min(self._limit, self._started + seconds)
        while time.monotonic() < end and not self._is_over():
            self._hub.reactor.driver.sleep(0.01)
        return not len(self._hub.reactor)

    def _is_over(self) -> bool:
        since_close = time.monotonic() - self._closed
        return since_close >= (CLOSE_WAIT if len(self._hub.reactor) else 0)

    # ---- in the loop ---------------------------------------------------------------------------------------------

    def schedule(self, seconds: float) -> None:
        """Set the time of the last batch, or bring it forward, and close the first batch."""
        hub = self._hub
        is_first = self._end == math.inf
        self._end = min(self._end, hub.now + seconds)
        if is_first:
            self._remaining = hub.clients()
            random.shuffle(self._remaining)
            if len(self._remaining) <= SINGLE_BATCH:
                self._end = hub.now
            # Each of their polls is a request of its own, which a server that accepts no connections does not get.
            self._close_batch(hub.pollers)
        if is_first or self._end <= hub.now:
            self._close_next()

    def _close_next(self) -> None:
        hub, remaining = self._hub, self._remaining
        batches_left = math.ceil((self._end - hub.now) / BATCH_INTERVAL)
        if batches_left <= 1:
            self._close_batch(hub.clients(), is_last=True)  # also those that have changed the transport
            return
        hub.reactor.call_later(BATCH_INTERVAL, self._close_next)
        size = math.ceil(len(remaining) / batches_left)
        self._remaining = remaining[size:]
        self._close_batch(remaining[:size])

    def _close_batch(self, clients: Iterable[Member], is_last: bool = False) -> None:
        """Close these clients as soon as all that they have sent is stored and acknowledged."""
        batch = [client for client in clients if not client.closing]
        for client in batch:
            if isinstance(client, Client):
                # Not read any more: a message without an Ack is sent again to another worker.
                self._hub.reactor.pause(client)
        self._close_when_stored(batch, self._progress(), self._hub.now + STORE_TIMEOUT, is_last)

    def _close_when_stored(
        self, batch: list[Member], stored: Callable[[], bool], end: float, is_last: bool
    ) -> None:
        hub = self._hub
        if not stored() and hub.now < end:
            hub.reactor.call_later(STORE_POLL, self._close_when_stored, batch, stored, end, is_last)
            return
        for client in batch:
            self._close(client)
        if is_last:
            self._closed = min(self._closed, hub.now)

    def _close(self, client: Member) -> None:
        reactor = self._hub.reactor
        try:
            client.close(CloseCode.RESTARTING)
            if isinstance(client, Client):
                reactor.resume(client)
        except Exception as error:
            reactor.fail(client, error)
