"""The history on SQLite and PostgreSQL, assembled from its parts, each in a file of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine, select

from .append_postgresql import PostgresqlAppend
from .append_sqlite import SqliteAppend
from .engine import Run
from .history import Draft, Result
from .invitations import Invitations
from .member_changes import MemberChanges
from .members import Members
from .messages import Messages
from .models import rooms
from .retention import Retention
from .rooms import Rooms
from .search import Search
from .transactions import HistoryTransactions

#: Seconds for which an append waits for other writers before it raises StoreUnavailable.
BUSY_SECONDS = 10.0


class _Append(Protocol):
    def append(self, drafts: Sequence[Draft], origin: int) -> list[Result]: ...

    def close(self) -> None: ...


class SqlHistory(Messages, Rooms, Members, MemberChanges, Invitations, Search, Retention):
    """A History in a database. `run(fn)` runs fn off the event loop; every method but `append` uses it.

    Call `append` where it may block. Searches run in `run_search`, which is `run` if it is not given, and each ends
    after `search_seconds`. A user may store `store_quota` bytes a day. 0 for either is no limit.
    """

    def __init__(
        self,
        engine: Engine,
        run: Run,
        busy_seconds: float = BUSY_SECONDS,
        *,
        run_search: Run | None = None,
        search_seconds: float = 0.0,
        store_quota: int = 0,
    ) -> None:
        super().__init__(engine, run)
        self._searches = HistoryTransactions(engine, run_search or run)
        self._search_seconds = search_seconds
        self._append = _make_append(engine, busy_seconds, store_quota)

    def append(self, drafts: Sequence[Draft], origin: int) -> list[Result]:
        """Store all drafts in one transaction and return their results: History.append."""
        return self._append.append(drafts, origin)

    def ping(self) -> None:
        """Raise StoreUnavailable unless the database responds; the tables must exist."""

        def work(connection: Connection) -> None:
            connection.execute(select(rooms.c.id).limit(1)).all()

        self._db.read(work)

    def close(self) -> None:
        """Close the connection that is kept open for `append`; the next call opens another."""
        self._append.close()


def _make_append(engine: Engine, busy_seconds: float, store_quota: int) -> _Append:
    if engine.dialect.name == "sqlite":
        return SqliteAppend(Path(engine.url.database or ""), busy_seconds, store_quota)
    return PostgresqlAppend(engine, busy_seconds, store_quota)
