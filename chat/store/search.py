"""Finding messages by their words, through the index that each database has. docs/decisions/0008 has the measure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, bindparam, text

from . import terms
from .history import Message
from .models import messages as table
from .rows import fetch_messages, select_messages
from .transactions import Part

_SQLITE_PKS = text(
    "SELECT rowid FROM chat_search WHERE chat_search MATCH :query AND rowid < :before ORDER BY rowid DESC LIMIT :limit"
)
_NEWEST = (1 << 63) - 1


class Search(Part):
    """Search: History says what it does."""

    def search(self, text: str, room_ids: Sequence[int], before_pk: int | None, limit: int) -> list[Message]:
        """Return the newest `limit` messages of these rooms that hold all words of `text`, newest first."""
        if not room_ids or not terms.parse(text):
            return []
        before = _NEWEST if before_pk is None else before_pk

        def work(connection: Connection) -> list[Message]:
            find = _sqlite if connection.dialect.name == "sqlite" else _postgresql
            return find(connection, text, room_ids, before, limit)

        return self._db.read(work)


def _sqlite(
    connection: Connection, text: str, room_ids: Sequence[int], before: int, limit: int
) -> list[Message]:
    query = terms.fts5_query(text, room_ids)
    pks = connection.execute(_SQLITE_PKS, {"query": query, "before": before, "limit": limit}).scalars().all()
    return fetch_messages(connection, _newest_first(select_messages().where(table.c.pk.in_(pks))))


def _postgresql(
    connection: Connection, words: str, room_ids: Sequence[int], before: int, limit: int
) -> list[Message]:
    query = text("terms @@ cast(:query AS tsquery)").bindparams(
        bindparam("query", terms.tsquery(words, room_ids))
    )
    wanted = select_messages().where(query, table.c.pk < before)
    return fetch_messages(connection, _newest_first(wanted).limit(limit))


def _newest_first(query: Select[Any]) -> Select[Any]:
    return query.order_by(table.c.pk.desc())
