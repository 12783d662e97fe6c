"""Logging from within a tick, which must not wait for a log handler's lock."""

from __future__ import annotations

import logging

from ..loop.jobs import Jobs

log = logging.getLogger("flask_chat")


class TickLog:
    """Queues log records as jobs: the thread that holds a handler's lock may be waiting for this very loop."""

    def __init__(self) -> None:
        #: Set once the queues exist; they need the hub's driver, and the hub logs here.
        self.jobs: Jobs | None = None

    def error(self, message: str, error: BaseException | None = None) -> None:
        """Log `message`, with the traceback of `error`; never blocks."""
        if self.jobs is not None:
            self.jobs.put("log", _log_error, message, error)


def _log_error(message: str, error: BaseException | None) -> None:
    log.error(message, exc_info=error)


def log_failed_job(error: BaseException) -> None:
    """Log what a job of the site's code raised; outside ticks."""
    log.error("site code failed", exc_info=error)
