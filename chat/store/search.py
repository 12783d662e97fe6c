"""Finding messages by their words, through the index that each database has. docs/decisions/0008 has the measure.

Of a word that is everywhere the newest messages are wanted, and an index may have to go through all of them to tell
which those are: PostgreSQL's always, SQLite's where a word is only begun. So where many may be meant the newest
messages themselves are read, and the index is asked where they are few.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text

from . import terms
from .history import Message
from .models import messages as table
from .rows import fetch_messages, select_messages
from .transactions import Part

_NEWEST = (1 << 63) - 1

_FTS5 = text(
    "SELECT rowid FROM chat_search WHERE chat_search MATCH :query AND rowid < :before ORDER BY rowid DESC LIMIT :limit"
)
_LAST_PK = text("SELECT coalesce(max(pk), 0) FROM chat_messages")
_SPAN = text(
    "SELECT pk, room_id, data FROM chat_messages WHERE pk >= :first AND pk < :before ORDER BY pk DESC"
)
#: Messages that are read one by one for the beginning of a word that is common as a whole word too.
_LONGEST_SPAN = 1_000

# In a room pk grows with seq, and the index is one of seqs. The cursor is one of the room's messages, as a rule.
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
# What the planner believes of so many words at once is wrong by orders of magnitude.
_GIN_ONLY = text(
    "SELECT set_config(name, 'off', true) FROM unnest(ARRAY['enable_seqscan', 'enable_indexscan', 'jit']) AS name"
)
#: Messages that are read at first, and where they hold enough for the page to be among so many.
_READS = (1_000, 20_000)


class Search(Part):
    """Search: History says what it does."""

    def search(self, text: str, room_ids: Sequence[int], before_pk: int | None, limit: int) -> list[Message]:
        """Return the newest `limit` messages of these rooms that hold all words of `text`, newest first."""
        if not room_ids or not terms.parse(text):
            return []
        before = _NEWEST if before_pk is None else before_pk

        def work(connection: Connection) -> list[Message]:
            find = _sqlite if connection.dialect.name == "sqlite" else _postgresql
            pks = find(connection, text, room_ids, before, limit)
            wanted = select_messages().where(table.c.pk.in_(pks)).order_by(table.c.pk.desc())
            return fetch_messages(connection, wanted)

        return self._db.read(work)


def _sqlite(
    connection: Connection, words: str, room_ids: Sequence[int], before: int, limit: int
) -> Sequence[int]:
    whole, query = terms.fts5_query(words, room_ids, whole=True), terms.fts5_query(words, room_ids)
    found = _ask_fts5(connection, whole, before, limit)
    if whole == query:
        return found
    if len(found) == limit:
        before = min(before, connection.execute(_LAST_PK).scalar_one() + 1)
        if before - found[-1] <= _LONGEST_SPAN:
            return _read_span(connection, words, room_ids, found[-1], before)[:limit]
    return _ask_fts5(connection, query, before, limit)


def _ask_fts5(connection: Connection, query: str | None, before: int, limit: int) -> Sequence[int]:
    return connection.execute(_FTS5, {"query": query, "before": before, "limit": limit}).scalars().all()


def _read_span(
    connection: Connection, words: str, room_ids: Sequence[int], first: int, before: int
) -> list[int]:
    rooms = set(room_ids)
    span = connection.execute(_SPAN, {"first": first, "before": before})
    return [pk for pk, room_id, data in span if room_id in rooms and terms.matches(data, words)]


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
