"""Rooms of Socket.IO connections, stored so that a client can resume on another process."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, Engine, delete, select, update

from .engine import Run, insert_of
from .io_values import IoSession
from .models import io_sessions as table
from .rows import clock_ms
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
            made = insert(table).values(updated_at=clock_ms(connection))
            newer = {name: made.excluded[name] for name in ("user_id", "rooms", "origin", "updated_at")}
            rows = [session._asdict() | {"origin": origin} for session in sessions]
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

        def work(connection: Connection) -> None:
            values = {"origin": origin, "updated_at": clock_ms(connection)}
            connection.execute(update(table).where(table.c.id == id).values(values))

        self._db.write(work)

    def delete(self, ids: Collection[str], origin: int) -> None:
        """Delete sessions, except those that another process than `origin` has taken over."""
        if ids:
            self._db.write(lambda connection: _delete(connection, list(ids), origin))

    def renew(self, origin: int) -> int:
        """Renew all sessions of `origin`; return the time (ms) by the store's clock."""

        def work(connection: Connection) -> int:
            now: int = connection.execute(select(clock_ms(connection))).scalar_one()
            connection.execute(update(table).where(table.c.origin == origin).values(updated_at=now))
            return now

        return self._db.write(work)

    def delete_left(self, before_ms: int) -> None:
        """Delete the sessions that no process has renewed since a time (ms) of the store's clock."""
        left = delete(table).where(table.c.updated_at < before_ms)
        self._db.write(lambda connection: connection.execute(left))


def _delete(connection: Connection, ids: Sequence[str], origin: int) -> None:
    for chunk in chunks(ids):
        connection.execute(delete(table).where(table.c.id.in_(chunk), table.c.origin == origin))
