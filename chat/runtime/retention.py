"""Deleting messages older than CHAT_RETENTION_DAYS."""

from __future__ import annotations

import logging

from ..identity.guard import now_ms
from ..loop.drivers import Driver
from ..store.history import History

log = logging.getLogger("flask_chat")

#: Seconds from the start to the first pruning, and between two.
FIRST_AFTER, INTERVAL = 5.0, 3_600.0
DAY_MS = 86_400_000


def prune_forever(driver: Driver, history: History, days: float) -> None:
    """Delete messages that are older than `days`, soon after the start and then every hour; outside ticks."""
    driver.sleep(FIRST_AFTER)
    while True:
        try:
            count = history.prune_all(now_ms() - int(days * DAY_MS))
            if count:
                log.info("deleted %d messages older than CHAT_RETENTION_DAYS", count)
        except Exception as error:
            log.error("old messages could not be deleted: %s", error)
        driver.sleep(INTERVAL)
