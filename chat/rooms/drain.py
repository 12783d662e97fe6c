"""Sending everybody away with 1012, a crowd in batches, so that it does not come back at once."""

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
#: Clients of whom no server feels that they come back at once: so many go in one batch.
SMALL_CROWD = 100
#: Seconds that a batch waits for the store, which may be away, and between two looks.
STORE_TIMEOUT, STORE_POLL = 1.0, 0.005
#: Seconds that the last ones have to answer their close, while somebody waits for the end.
CLOSE_WAIT = 1.0


class Drain:
    """Empties one hub, in an order that chance makes.

    `so_far()` returns what tells whether all that was said until then has been stored, and acknowledged.
    """

    def __init__(self, hub: Hub, progress: Callable[[], Callable[[], bool]]) -> None:
        self._hub = hub
        self._progress = progress
        self._started = self._limit = self._end = self._over = math.inf
        self._staying: list[Member] = []

    def start(self, seconds: float) -> None:
        """Admit nobody any more, and send everybody away within `seconds`; from anywhere, a signal handler too.

        Of several calls the one that ends first counts.
        """
        now = time.monotonic()
        self._started = min(self._started, now)
        self._limit = min(self._limit, now + seconds + STORE_TIMEOUT + CLOSE_WAIT)
        self._hub.draining = True
        self._hub.reactor.call_soon(self.schedule, seconds)

    def wait(self, seconds: float) -> bool:
        """Return once all have been sent away and have gone, or have had their time to; True when all have gone.

        It ends `seconds` after the start at the latest. From any thread, but not from a tick.
        """
        end = min(self._limit, self._started + seconds)
        while time.monotonic() < end and not self._is_over():
            self._hub.reactor.driver.sleep(0.01)
        return not len(self._hub.reactor)

    def _is_over(self) -> bool:
        sent_away = time.monotonic() - self._over
        return sent_away >= (CLOSE_WAIT if len(self._hub.reactor) else 0)

    # ---- in the loop ---------------------------------------------------------------------------------------------

    def schedule(self, seconds: float) -> None:
        """Make the timetable, or shorten the one that there is."""
        hub = self._hub
        is_first = self._end == math.inf
        self._end = min(self._end, hub.now + seconds)
        if is_first:
            self._staying = hub.clients()
            random.shuffle(self._staying)
            if len(self._staying) <= SMALL_CROWD:
                self._end = hub.now
            # Each of their polls is a request of its own, which a server that accepts no more will not get.
            self._send_away(hub.pollers)
        if is_first or self._end <= hub.now:
            self._go_on()

    def _go_on(self) -> None:
        hub, staying = self._hub, self._staying
        batches_left = math.ceil((self._end - hub.now) / BATCH_INTERVAL)
        if batches_left <= 1:
            self._send_away(hub.clients(), is_last=True)  # also who has changed transports meanwhile
            return
        hub.reactor.call_later(BATCH_INTERVAL, self._go_on)
        size = math.ceil(len(staying) / batches_left)
        self._staying = staying[size:]
        self._send_away(staying[:size])

    def _send_away(self, clients: Iterable[Member], is_last: bool = False) -> None:
        """Close these clients as soon as all that they have said is stored and acknowledged."""
        batch = [client for client in clients if not client.closing]
        for client in batch:
            if isinstance(client, Client):
                # What it says from now on would be said to nobody: it finds no Ack, and says it again elsewhere.
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
            self._over = min(self._over, hub.now)

    def _close(self, client: Member) -> None:
        reactor = self._hub.reactor
        try:
            client.close(CloseCode.RESTARTING)
            if isinstance(client, Client):
                reactor.resume(client)
        except Exception as error:
            reactor.fail(client, error)
