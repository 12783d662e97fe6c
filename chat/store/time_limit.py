"""A limit on the time that a connection's statements take, so that no user's query keeps a thread and a core busy."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from .history import SearchTooLong

#: Steps of SQLite's virtual machine between two looks at the clock: some milliseconds, also within the full-text index.
_STEPS = 1_000
_STATEMENT_TIMEOUT = text("SELECT set_config('statement_timeout', :limit, true)")
#: PostgreSQL's query_canceled, which statement_timeout raises.
_CANCELED = "57014"


@contextmanager
def time_limit(connection: Connection, seconds: float) -> Iterator[None]:
    """Raise SearchTooLong once the block's statements have taken `seconds`; 0 is no limit.

    On SQLite all of them together, on PostgreSQL each of them, until the transaction ends.
    """
    if not seconds:
        yield
        return
    limit = _sqlite if connection.dialect.name == "sqlite" else _postgresql
    with limit(connection, seconds):
        yield


@contextmanager
def _sqlite(connection: Connection, seconds: float) -> Iterator[None]:
    driver: Any = connection.connection.driver_connection
    end = time.monotonic() + seconds
    driver.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
    try:
        yield
    except DBAPIError as error:
        if time.monotonic() > end and "interrupted" in str(error.orig):
            raise SearchTooLong from error
        raise
    finally:
        driver.set_progress_handler(None, 0)


@contextmanager
def _postgresql(connection: Connection, seconds: float) -> Iterator[None]:
    connection.execute(_STATEMENT_TIMEOUT, {"limit": f"{max(1, round(seconds * 1000))}ms"})
    try:
        yield
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == _CANCELED:
            raise SearchTooLong from error
        raise
