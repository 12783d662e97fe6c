"""The chat's tables, opened at first use: SQLAlchemy is imported with them, and `flask chat --help` needs neither."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ..config import Settings
from ..loop.pools import Pool, Run
from ..rooms.access import LOBBY
from ..store.history import Draft, History, Result

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..store.control import Control
    from ..store.io_missed import IoMissed
    from ..store.io_sessions import IoSessions
    from ..store.log_in_sessions import LogInSessionRows
    from ..store.users import Users


class Tables(NamedTuple):
    """The open tables. Every call is one transaction, run where it does not block the event loop."""

    users: Users
    control: Control
    #: Rooms, members and messages.
    history: History
    #: The same for what connected clients wait for: it is read in the pool LIVE.
    live_history: History
    io_sessions: IoSessions
    io_missed: IoMissed
    #: `History.append` for a caller outside the loop.
    commit: Callable[[list[Draft], int], list[Result]]
    log_in_sessions: LogInSessionRows


class Stores:
    """Opens one database once.

    `run_blocking(function, *args)` runs a function off the event loop, `run_in(pool, function, *args)` in a pool.
    `choose_url` is called when the database is first needed.
    """

    def __init__(
        self,
        choose_url: Callable[[], str],
        settings: Settings,
        run_blocking: Run,
        run_in: Callable[..., Any],
    ) -> None:
        self._choose_url = choose_url
        self._url: str | None = None
        self._settings = settings
        self._run_blocking = run_blocking
        self._run_in = run_in
        self._tables: Tables | None = None
        self._site: str | None = None
        self._opening = threading.RLock()

    @property
    def url(self) -> str:
        """The database's URL."""
        with self._opening:
            if self._url is None:
                self._url = self._choose_url()
            return self._url

    @property
    def site(self) -> str:
        """What tells this site from any other: random, and the same for every process that uses this database.

        It is the lobby's epoch, which is made with the tables. Read once; the first call may raise StoreUnavailable.
        """
        if self._site is None:
            lobby = self.open().history.room(LOBBY)
            self._site = lobby.epoch if lobby is not None else ""
        return self._site

    def open(self) -> Tables:
        """Return the tables, upgraded at the first call where CHAT_UPGRADE_AT_START says so.

        Raises BadDatabaseUrl, which says what to do, where the database cannot be used.
        """
        if self._tables is None:
            with self._opening:
                if self._tables is None:
                    self._tables = self._open()
        return self._tables

    def upgrade(self) -> None:
        """Upgrade the tables to the newest revision."""
        from ..store.migrate import upgrade
        from ..store.opening import explained_errors

        with explained_errors(self.url):
            upgrade(self.url)

    def _open(self) -> Tables:
        from ..store.control import Control
        from ..store.io_missed import IoMissed
        from ..store.io_sessions import IoSessions
        from ..store.log_in_sessions import LogInSessionRows
        from ..store.opening import open_engine
        from ..store.sql import SqlHistory
        from ..store.users import Users

        settings = self._settings
        engine = open_engine(self.url, settings.upgrade_at_start)
        run, live = self._run_blocking, partial(self._run_in, Pool.LIVE)
        history = SqlHistory(
            engine,
            run,
            run_search=partial(self._run_in, Pool.SEARCH),
            search_seconds=settings.search_seconds,
            store_quota=settings.store_quota,
        )
        return Tables(
            Users(engine, live),
            Control(engine, live),
            history,
            SqlHistory(engine, live),
            IoSessions(engine, live),
            IoMissed(engine, live),
            partial(self._run_in, Pool.COMMIT, history.append),
            LogInSessionRows(engine, live),
        )
