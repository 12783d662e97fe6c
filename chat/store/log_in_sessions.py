"""The users' log-in sessions: on which device, when last used, and whether ended."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, Engine, delete, select, update

from .engine import Run, insert_of
from .models import log_in_sessions as table
from .models import now_ms
from .transactions import HistoryTransactions

#: Milliseconds between two writes of a session's last use.
USED_EVERY_MS = 300_000
#: Sessions that are kept of one user, the last used of them, and milliseconds for which an unused one is kept: longer
#: than any cookie lives, for an ended session must not come back.
MOST = 100
KEEP_MS = 400 * 86_400_000
#: The characters of a User-Agent that are stored.
MAX_USER_AGENT = 300


class SessionRow(NamedTuple):
    """One session; times are in ms since 1970."""

    id: str
    user_id: str
    user_agent: str
    began_at: int
    used_at: int


_COLUMNS = tuple(table.c[name] for name in SessionRow._fields)
_IS_OPEN = table.c.ended_at.is_(None)


class LogInSessionRows:
    """Stores the sessions. Every method is one or two transactions and may raise StoreUnavailable.

    `run(fn)` runs fn off the event loop.
    """

    def __init__(self, engine: Engine, run: Run) -> None:
        self._db = HistoryTransactions(engine, run)

    def use(self, id: str, user_id: str, user_agent: str) -> bool:
        """Note that a session is in use, and add it if it is new; return False if it has ended."""
        wanted = select(table.c.used_at, table.c.ended_at).where(table.c.id == id)
        found = self._db.read(lambda connection: connection.execute(wanted).first())
        now = now_ms()
        if found is None:
            row = SessionRow(id, user_id, user_agent[:MAX_USER_AGENT], now, now)
            self._db.write(lambda connection: _add(connection, row))
            return True
        if found.ended_at is None and now - found.used_at >= USED_EVERY_MS:
            change = update(table).where(table.c.id == id).values(used_at=now)
            self._db.write(lambda connection: connection.execute(change))
        return found.ended_at is None

    def has_ended(self, id: str) -> bool:
        """Return whether this session has been ended; False for an unknown one."""
        wanted = select(table.c.id).where(table.c.id == id, ~_IS_OPEN)
        return self._db.read(lambda connection: connection.execute(wanted).first()) is not None

    def is_open(self, id: str) -> bool:
        """Return whether this session is listed and has not been ended."""
        wanted = select(table.c.id).where(table.c.id == id, _IS_OPEN)
        return self._db.read(lambda connection: connection.execute(wanted).first()) is not None

    def owner(self, id: str) -> str | None:
        """Return the id of the user whose session this is; None for an unknown one."""
        wanted = select(table.c.user_id).where(table.c.id == id)
        return self._db.read(lambda connection: connection.execute(wanted).scalar())

    def of_user(self, user_id: str) -> list[SessionRow]:
        """Return the open sessions of a user, the last used first."""
        wanted = select(*_COLUMNS).where(table.c.user_id == user_id, _IS_OPEN)
        newest_first = wanted.order_by(table.c.used_at.desc(), table.c.id)
        return [
            SessionRow(*row)
            for row in self._db.read(lambda connection: connection.execute(newest_first).all())
        ]

    def end(self, id: str, user_id: str) -> None:
        """Mark a session of this user as ended, also one that was never used; one of another user stays."""
        now = now_ms()

        def work(connection: Connection) -> None:
            _add(connection, SessionRow(id, user_id, "", now, now))
            mine = update(table).where(table.c.id == id, table.c.user_id == user_id, _IS_OPEN)
            connection.execute(mine.values(ended_at=now))

        self._db.write(work)

    def end_all(self, user_id: str) -> None:
        """Mark all sessions of a user as ended."""
        all_open = update(table).where(table.c.user_id == user_id, _IS_OPEN).values(ended_at=now_ms())
        self._db.write(lambda connection: connection.execute(all_open))


def _add(connection: Connection, row: SessionRow) -> None:
    connection.execute(insert_of(connection)(table).on_conflict_do_nothing(), row._asdict())
    mine = table.c.user_id == row.user_id
    kept = select(table.c.id).where(mine).order_by(table.c.used_at.desc(), table.c.id).limit(MOST)
    is_old = table.c.used_at < row.used_at - KEEP_MS
    connection.execute(delete(table).where(mine, is_old | table.c.id.not_in(kept.scalar_subquery())))
