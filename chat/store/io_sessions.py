"""Rooms of Socket.IO connections, stored so that a client can resume on another process."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, Engine, delete, select, update

from .engine import Run, insert_of
from .io_values import IoSession
from .models import io_sessions as table
from .models import now_ms
from .transactions import HistoryTransactions, chunks


class IoSessions:
    """Stores the sessions. Every method is one transaction and may raise StoreUnavailable.

    A session belongs to the process (`origin`) that serves it. `run(fn)` runs fn off the event loop.
    """

    def __init__(self, engine: Engine, run: Run) -> None:
        self._db = HistoryTransactions(engine, run)

    def save(self, sessions: Sequence[IoSession], origin: int) -> None:
        """Insert or replace sessions, which then belong to `origin`."""

        def work(connection: Connection) -> None:
            insert = insert_of(connection)
            made = insert(table)
            newer = {name: made.excluded[name] for name in ("user_id", "rooms", "origin", "updated_at")}
            more = {"origin": origin, "updated_at": now_ms()}
            rows = [session._asdict() | more for session in sessions]
            connection.execute(made.on_conflict_do_update(index_elements=["id"], set_=newer), rows)

        if sessions:
            self._db.write(work)

    def get(self, id: str) -> IoSession | None:
        """Return the stored session of a connection, or None."""
        wanted = select(table.c.id, table.c.user_id, table.c.rooms).where(table.c.id == id)
        row = self._db.read(lambda connection: connection.execute(wanted).first())
        return IoSession(*row) if row is not None else None

    def owner(self, id: str) -> int | None:
        """Return the process that a connection belongs to; None if it is not stored."""
        wanted = select(table.c.origin).where(table.c.id == id)
        return self._db.read(lambda connection: connection.execute(wanted).scalar())

    def take_over(self, id: str, origin: int) -> None:
        """Assign a stored connection to the process `origin`."""
        mine = update(table).where(table.c.id == id).values(origin=origin, updated_at=now_ms())
        self._db.write(lambda connection: connection.execute(mine))

    def delete(self, ids: Collection[str], origin: int) -> None:
        """Delete sessions, except those that another process than `origin` has taken over."""
        if ids:
            self._db.write(lambda connection: _delete(connection, list(ids), origin))

    def renew(self, origin: int, before_ms: int) -> None:
        """Renew all sessions of `origin`, and delete those that no process has renewed since `before_ms`."""

        def work(connection: Connection) -> None:
            mine = update(table).where(table.c.origin == origin).values(updated_at=now_ms())
            connection.execute(mine)
            connection.execute(delete(table).where(table.c.updated_at < before_ms))

        self._db.write(work)


def _delete(connection: Connection, ids: Sequence[str], origin: int) -> None:
    for chunk in chunks(ids):
        connection.execute(delete(table).where(table.c.id.in_(chunk), table.c.origin == origin))
