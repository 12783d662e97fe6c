"""The database engine for a URL, and transactions that run off the event loop.

A greenlet that yielded inside a write transaction would block every other writer of the process. So callers never hold
an open connection: they pass a function of one, which runs from begin to commit without a switch.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, make_url, text

from ..config import BadDatabaseUrl, check_database_url
from . import sqlite_file

T = TypeVar("T")
#: Runs a function off the event loop (a thread pool under gevent) and returns its result.
Run = Callable[[Callable[[], Any]], Any]

_BUSY_SECONDS = 10
_READING = "chat_reading"
#: Time limits after which an unresponsive server counts as lost; TCP's own are a quarter of an hour. The names are
#: libpq's, in seconds, the last one in milliseconds. The URL may override them.
_TIMEOUTS = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}


class Transactions:
    """Runs functions of a connection, each as one transaction off the event loop."""

    def __init__(self, engine: Engine, run: Run) -> None:
        self._engine = engine
        self._reader = engine.execution_options(**{_READING: True})
        self._run = run

    def read(self, work: Callable[[Connection], T]) -> T:
        """Return `work(connection)`, run on one consistent snapshot; `work` must not write."""
        return self._run(lambda: self._whole(self._reader, work))

    def write(self, work: Callable[[Connection], T]) -> T:
        """Return `work(connection)` after its commit; an exception rolls everything back."""
        return self._run(lambda: self._whole(self._engine, work))

    @staticmethod
    def _whole(engine: Engine, work: Callable[[Connection], T]) -> T:
        with engine.begin() as connection:
            return work(connection)


def make_engine(url: str) -> Engine:
    """Return an engine for a SQLite file or PostgreSQL; raise BadDatabaseUrl for any other URL."""
    parsed = parse_url(url)
    return _sqlite(parsed) if parsed.get_backend_name() == "sqlite" else _postgresql(parsed)


def parse_url(url: str) -> URL:
    """Parse a database URL and set its driver: `postgres://` and `postgresql://` both use psycopg 3."""
    check_database_url(url)
    parsed = make_url(url)
    return parsed if parsed.get_backend_name() == "sqlite" else parsed.set(drivername="postgresql+psycopg")


def insert_of(connection: Connection) -> Any:
    """Return the `insert` of the connection's database, which has ON CONFLICT."""
    if connection.dialect.name == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        return sqlite_insert
    # Imported here, because it takes longer than a twentieth of a site's start on SQLite.
    from sqlalchemy.dialects.postgresql import insert as postgresql_insert

    return postgresql_insert


def lock(connection: Connection, name: str) -> None:
    """Hold the lock `name` until this transaction ends, so that one transaction at a time passes this point.

    SQLite has one writer anyway. PostgreSQL assigns ids before the commit, so their order is not that of commits.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(
            text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"flask-chat:{name}"}
        )


def _sqlite(url: URL) -> Engine:
    sqlite_file.prepare(Path(url.database or ""))
    # No pool: opening a file costs 0.1 ms, and a pooled connection belongs to the thread that made it.
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": _BUSY_SECONDS})
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: Any) -> None:
    # The driver would begin transactions by itself, and too late: _begin_sqlite does it instead.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A write transaction takes the lock at once: one that began by reading could fail to upgrade its snapshot later.
    reading = connection.get_execution_options().get(_READING)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _postgresql(url: URL) -> Engine:
    timeouts = {name: value for name, value in _TIMEOUTS.items() if name not in url.query}
    try:
        engine = create_engine(url, pool_pre_ping=True, pool_size=5, max_overflow=15, connect_args=timeouts)
    except ModuleNotFoundError as error:
        raise BadDatabaseUrl(
            "CHAT_DATABASE_URL names PostgreSQL, whose driver is not installed: "
            'pip install "flask-chat[postgresql]"'
        ) from error
    _dispose_after_fork(engine)
    return engine


def _dispose_after_fork(engine: Engine) -> None:
    """Keep a forked child from using its parent's connections."""
    reference = weakref.ref(engine)

    def dispose() -> None:
        if (engine := reference()) is not None:
            engine.dispose(close=False)

    os.register_at_fork(after_in_child=dispose)
