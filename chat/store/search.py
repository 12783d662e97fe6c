"""Full-text search through the index of each database. docs/decisions/0008 has the measurements.

A search returns the newest matches, and reads only terms that are stored: making those of a long message takes
milliseconds. For a frequent word, an index may have to read all of its entries to find the newest: SQLite's for a
prefix, PostgreSQL's always. So PostgreSQL compares the stored terms of the newest messages first, and uses its index if
few of them match.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text

from . import terms
from .history import Message
from .models import messages as table
from .rows import fetch_messages, select_messages
from .time_limit import time_limit
from .transactions import HistoryTransactions, Part

_NEWEST = (1 << 63) - 1

_FTS5 = text(
    "SELECT rowid FROM chat_search WHERE chat_search MATCH :query AND rowid < :before ORDER BY rowid DESC LIMIT :limit"
)

# Within a room, pk ascends with seq, and the index is on seq. The cursor is usually one of the room's messages.
_ROOM = (
    "SELECT pk, terms FROM chat_messages WHERE room_id = :room AND pk < :before AND"
    " seq < coalesce((SELECT seq FROM chat_messages WHERE pk = :before AND room_id = :room), :newest)"
    " ORDER BY seq DESC LIMIT :read"
)
_ROOMS = (
    "SELECT * FROM (SELECT pk, terms, room_id FROM chat_messages WHERE pk < :before ORDER BY pk DESC LIMIT :read)"
    " AS newest WHERE room_id = ANY(:rooms)"
)
_READ = "SELECT pk FROM ({}) AS newest WHERE terms @@ cast(:query AS tsquery) ORDER BY pk DESC LIMIT :limit"
_READ_ROOM, _READ_ROOMS = text(_READ.format(_ROOM)), text(_READ.format(_ROOMS))
_GIN = text(
    "SELECT pk FROM chat_messages WHERE terms @@ cast(:query AS tsquery) AND pk < :before"
    " ORDER BY pk DESC LIMIT :limit"
)
# The planner's estimates for so many words at once are wrong by orders of magnitude.
_GIN_ONLY = text(
    "SELECT set_config(name, 'off', true) FROM unnest(ARRAY['enable_seqscan', 'enable_indexscan', 'jit']) AS name"
)
#: Messages that are read first, and messages that are read if the first contain enough matches for that to fill a page.
_READS = (1_000, 20_000)


class Search(Part):
    """History.search; it runs where `run_search` says, and ends after `search_seconds`."""

    _searches: HistoryTransactions
    _search_seconds: float

    def search(self, text: str, room_ids: Sequence[int], before_pk: int | None, limit: int) -> list[Message]:
        """Return the newest `limit` messages of these rooms that contain all words of `text`, newest first."""
        if not room_ids:
            return []
        before = _NEWEST if before_pk is None else before_pk

        def work(connection: Connection) -> list[Message]:
            if not terms.parse(text):  # here, off the event loop
                return []
            find = _sqlite if connection.dialect.name == "sqlite" else _postgresql
            with time_limit(connection, self._search_seconds):
                pks = find(connection, text, room_ids, before, limit)
                wanted = select_messages().where(table.c.pk.in_(pks)).order_by(table.c.pk.desc())
                return fetch_messages(connection, wanted)

        return self._searches.read(work)


def _sqlite(
    connection: Connection, words: str, room_ids: Sequence[int], before: int, limit: int
) -> Sequence[int]:
    values = {"query": terms.fts5_query(words, room_ids), "before": before, "limit": limit}
    return connection.execute(_FTS5, values).scalars().all()


def _postgresql(
    connection: Connection, words: str, room_ids: Sequence[int], before: int, limit: int
) -> Sequence[int]:
    statement = _READ_ROOM if len(room_ids) == 1 else _READ_ROOMS
    values: dict[str, object] = {"query": terms.tsquery(words), "before": before, "limit": limit}
    values |= {"newest": _NEWEST, "room": room_ids[0], "rooms": list(room_ids)}
    for read in _READS:
        found = connection.execute(statement, values | {"read": read}).scalars().all()
        if len(found) == limit:
            return found
        if len(found) * _READS[1] < limit * read:
            break
    connection.execute(_GIN_ONLY)
    values["query"] = terms.tsquery(words, room_ids)
    return connection.execute(_GIN, values).scalars().all()
