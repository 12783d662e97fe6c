"""Retention: the oldest messages of rooms are deleted, in small transactions."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

from sqlalchemy import Connection, delete, select, update

from . import terms
from .models import mentions, rooms
from .models import messages as table
from .rows import transaction_number
from .transactions import Part

#: Messages in one transaction: other writers wait for it some milliseconds.
_CHUNK = 500
_DELETE_TERMS = "INSERT INTO chat_search (chat_search, rowid, terms) VALUES ('delete', ?, ?)"


class Retention(Part):
    """The methods of History that delete messages."""

    def prune(self, room_id: int, before_ms: int) -> int:
        """Delete the room's messages before the first one stored at or after `before_ms`; return how many."""
        deleted = 0
        while expired := self._db.read(lambda connection: _expired(connection, room_id, before_ms)):
            begun = time.monotonic()
            deleted += self._db.write(lambda connection: _prune(connection, room_id, expired))
            # SQLite does not queue writers: leave half of the time to the others.
            time.sleep(time.monotonic() - begun)
        return deleted

    def prune_all(self, before_ms: int) -> int:
        """Prune every room; return how many messages were deleted."""
        wanted = select(rooms.c.id).where(rooms.c.first_seq <= rooms.c.last_seq)
        room_ids = self._db.read(lambda connection: connection.execute(wanted).scalars().all())
        return sum(self.prune(room_id, before_ms) for room_id in room_ids)


class _Expired(NamedTuple):
    """A message to delete, and on SQLite what its index has of it."""

    pk: int
    seq: int
    document: str


def _expired(connection: Connection, room_id: int, before_ms: int) -> list[_Expired]:
    """Return the room's oldest messages of those to delete: before the transaction, for their terms take long."""
    wanted = select(table.c.pk, table.c.seq, table.c.ts, table.c.data).where(table.c.room_id == room_id)
    rows = connection.execute(wanted.order_by(table.c.seq).limit(_CHUNK)).all()
    index = terms.fts5_document if connection.dialect.name == "sqlite" else lambda text: ""
    old = takewhile(lambda row: row.ts < before_ms, rows)
    return [_Expired(row.pk, row.seq, index(row.data)) for row in old]


def _prune(connection: Connection, room_id: int, expired: Sequence[_Expired]) -> int:
    # Without the lock two processes that prune at once would count the same messages.
    connection.execute(select(rooms.c.id).where(rooms.c.id == room_id).with_for_update(key_share=True))
    wanted = select(table.c.pk).where(table.c.room_id == room_id, table.c.seq <= expired[-1].seq)
    present = set(connection.execute(wanted).scalars())
    old = [one for one in expired if one.pk in present]
    if old:
        _delete(connection, room_id, old)
    return len(old)


def _delete(connection: Connection, room_id: int, old: Sequence[_Expired]) -> None:
    last = old[-1].seq
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(
            _DELETE_TERMS, [(one.pk, terms.fts5_row(room_id, one.document)) for one in old]
        )
    connection.execute(delete(table).where(table.c.room_id == room_id, table.c.seq <= last))
    connection.execute(delete(mentions).where(mentions.c.room_id == room_id, mentions.c.seq <= last))
    values = {"first_seq": last + 1, "changed": transaction_number(connection)}
    connection.execute(update(rooms).where(rooms.c.id == room_id).values(values))
