"""The control table: requests of one process to all running servers, and their responses.

Servers poll it, so that the command line reaches them with only the database in between.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Engine, delete, func, select

from .engine import Run, lock
from .models import control as table
from .models import now_ms
from .transactions import HistoryTransactions


class Row(NamedTuple):
    """One request or response."""

    id: int
    kind: str
    payload: dict[str, Any]


class Control:
    """Posts rows and reads new ones. `run(fn)` runs fn off the event loop. Every method may raise StoreUnavailable."""

    def __init__(self, engine: Engine, run: Run) -> None:
        self._db = HistoryTransactions(engine, run)

    def post(self, kind: str, payload: dict[str, Any]) -> int:
        """Store a row and return its id, which is higher than the id of any row committed before."""
        row = {"kind": kind, "payload": payload, "created_at": now_ms()}

        def work(connection: Any) -> int:
            # Otherwise a reader could see a later id first and then skip the earlier one.
            lock(connection, "control")
            return connection.execute(table.insert().returning(table.c.id), row).scalar_one()

        return self._db.write(work)

    def after(self, last_id: int) -> list[Row]:
        """Return the rows with an id above `last_id`, in order."""
        wanted = (
            select(table.c.id, table.c.kind, table.c.payload).where(table.c.id > last_id).order_by(table.c.id)
        )
        return [Row(*row) for row in self._db.read(lambda connection: connection.execute(wanted).all())]

    def of_kind(self, kind: str) -> list[Row]:
        """Return the rows of one kind, in order; those of the last hour at the least."""
        wanted = (
            select(table.c.id, table.c.kind, table.c.payload).where(table.c.kind == kind).order_by(table.c.id)
        )
        return [Row(*row) for row in self._db.read(lambda connection: connection.execute(wanted).all())]

    def last_id(self) -> int:
        """Return the highest id in the table, or 0: the position at which a new reader starts."""
        wanted = select(func.coalesce(func.max(table.c.id), 0))
        return self._db.read(lambda connection: connection.execute(wanted).scalar_one())

    def prune(self, upto_id: int) -> int:
        """Delete the rows up to an id and return how many were deleted."""
        old = delete(table).where(table.c.id <= upto_id)
        return self._db.write(lambda connection: connection.execute(old).rowcount)
