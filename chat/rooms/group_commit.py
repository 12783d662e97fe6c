"""The group commit: all messages that wait are stored in one transaction, then acknowledged and delivered.

Between commits it reads what peers have stored (catch_up.py).
"""

from __future__ import annotations

import logging
import math
import secrets
import time
from collections.abc import Callable
from typing import Any

from ..loop.drivers import Driver, allocate_lock
from ..store.history import Draft, History, Result, StoreUnavailable
from ..wire.envelope import Envelope, MessageType
from ..wire.errors import ChatError
from .catch_up import CatchUp
from .hub import Hub
from .stored_delivery import Answer, Queued, StoredDelivery
from .stored_messages import draft_of

log = logging.getLogger("flask_chat")

#: Messages that may wait for a store that does not answer; beyond it they are refused at once.
MAX_WAITING = 10_000
#: Messages of one transaction.
MAX_BATCH = 1_000
#: Seconds between two comparisons with the store at least, however many clients connect.
COMPARE_SPACING = 0.02


class GroupCommit:
    """Stores messages and delivers them, in one background task a process.

    `commit(drafts, origin)` is History.append, called where it may block. `on_message(member, envelope)` is called in
    the loop with each new message.
    """

    def __init__(
        self,
        hub: Hub,
        driver: Driver,
        history: History,
        commit: Callable[[list[Draft], int], list[Result]],
        on_message: Callable[[Any, Envelope], None],
    ) -> None:
        self._hub = hub
        self._driver = driver
        self._commit_now = commit
        self._lock = allocate_lock()
        self._waiting: list[Queued] = []
        #: Messages ever queued, and those of them that were stored or refused.
        self._queued = 0
        self._done = 0
        self._wake = driver.event()
        #: Random number of this process: which messages in the store are its own.
        self.origin = secrets.randbits(31)
        self.delivery = StoredDelivery(hub, self.origin, on_message, self._wake.set)
        self._catch_up = CatchUp(hub, history, self.delivery)
        self._is_failing = False
        #: Monotonic seconds at which the next regular comparison is due, and at which the last one has ended.
        self._compare_next, self._compared = -math.inf, -math.inf
        hub.arrivals.wake = self._wake.set

    def start(self) -> None:
        """Open the lobby at the store's newest message, and begin to serve; it may block."""
        self._catch_up.open_lobby()
        self._compare_next = time.monotonic() + self._hub.settings.compare_interval
        self._driver.background(self._run)

    @property
    def waiting(self) -> int:
        """Messages that are yet to be stored."""
        return len(self._waiting)

    def put(self, envelope: Envelope, chosen: bool, answer: Answer | None = None) -> None:
        """Queue a message; `chosen` says that its sender chose the id, so that it may be a repeat. From any thread.

        Its sender gets an Ack or an Error, and `answer` is called in the loop. Raises ChatError `store_unavailable`
        where too many messages wait already.
        """
        with self._lock:
            was_idle = not self._waiting
            if len(self._waiting) >= MAX_WAITING:
                raise ChatError("store_unavailable", envelope.id if chosen else None)
            self._waiting.append((envelope, chosen, answer))
            self._queued += 1
        if was_idle:
            self._wake.set()

    def progress(self) -> Callable[[], bool]:
        """Return a function that tells whether all messages queued until now have been stored or refused."""
        queued = self._queued
        return lambda: self._done >= queued

    # ---- the background task -------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            self._wake.wait(max(0.0, self._compare_at - time.monotonic()))
            self._wake.clear()
            try:
                self._catch_up.read_missing()
                while self._waiting:
                    self._commit(self._waiting[:MAX_BATCH])
                    self._catch_up.read_missing()
                    if time.monotonic() >= self._compare_at:
                        break
                if time.monotonic() >= self._compare_at:
                    self._compare()
                if self._waiting:
                    self._wake.set()
            except Exception as error:
                self._report(error)

    @property
    def _compare_at(self) -> float:
        """Monotonic seconds at which to compare with the store: at once for clients that wait to be admitted."""
        if self._hub.arrivals.waiting:
            return min(self._compare_next, self._compared + COMPARE_SPACING)
        return self._compare_next

    def _compare(self) -> None:
        """Compare with the store, and then admit the clients that had connected before."""
        arrivals, ask = self._hub.arrivals, self._hub.reactor.call_and_wait
        self._compare_next = time.monotonic() + self._hub.settings.compare_interval
        arrived = ask(arrivals.take) if arrivals.waiting else []
        try:
            self._catch_up.compare()
            self._is_failing = False
        finally:
            self._compared = time.monotonic()
            if arrived:
                ask(arrivals.admit, arrived)

    def _commit(self, batch: list[Queued]) -> None:
        # Sorted by room: rooms are written one after the other, and every client receives them in that order.
        batch = sorted(batch, key=_sort_key)
        begun = time.monotonic()
        results: list[Result]
        try:
            results = self._commit_now(
                [draft_of(envelope, chosen) for envelope, chosen, _ in batch], self.origin
            )
        except Exception as error:
            # A bug in the store means the same to the senders: none of their messages was stored.
            self._report(error)
            results = ["store_unavailable"] * len(batch)
        else:
            self._is_failing = False
        stats = self._hub.stats
        stats.batches.observe(len(batch))
        stats.commits.observe(time.monotonic() - begun)
        with self._lock:
            del self._waiting[: len(batch)]
        self._hub.reactor.call_and_wait(self._deliver, batch, results)

    def _deliver(self, batch: list[Queued], results: list[Result]) -> None:
        self._done += len(batch)  # in the loop, where nothing reads it before the Acks are queued
        self.delivery.deliver_results(batch, results)

    def _report(self, error: Exception) -> None:
        if not isinstance(error, StoreUnavailable):
            log.error("the store failed", exc_info=error)
        elif not self._is_failing:
            log.error("the store is unavailable: %s", error)
        self._is_failing = True


def _sort_key(queued: Queued) -> tuple[bool, str]:
    """Return what a batch is sorted by: room by room, direct messages last."""
    envelope = queued[0]
    return (True, "") if envelope.type == MessageType.SINGLE_CHAT else (False, envelope.room or "")
