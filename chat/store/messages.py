"""Reading stored messages: pages of a room's history, missed messages, messages of other processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Select, func, literal_column, select

from .history import Message, RoomRow
from .models import messages as table
from .models import rooms
from .rows import ROOM_COLUMNS, fetch_messages, fetch_new_messages, fetch_rooms, select_messages
from .transactions import Part

#: Messages in a chunk of an export.
_CHUNK = 500


class Messages(Part):
    """The methods of History that read messages."""

    def changed(self, mark: int | None) -> tuple[int, list[RoomRow]]:
        """Return a new mark, and the rooms that have changed since `mark`."""

        def work(connection: Connection) -> tuple[int, list[RoomRow]]:
            # The mark first: a commit between the two queries is then returned twice, and not missed.
            new_mark = connection.execute(select(current_mark(connection))).scalar_one()
            if mark is None:
                return new_mark, []
            wanted = select(*ROOM_COLUMNS).where(*_since(connection, rooms.c.changed, mark))
            return new_mark, fetch_rooms(connection, wanted)

        return self._db.read(work)

    def new_in(self, room_ids: Sequence[int], mark: int) -> list[Message]:
        """Return these rooms' messages committed since the mark, ordered by pk."""

        def work(connection: Connection) -> list[Message]:
            # A room's messages are committed in the order of seq: those before one from before the mark are old too.
            floors = _floors(connection, room_ids, table.c.batch < mark)
            is_new = _since(connection, table.c.batch, mark)
            return _by_pk(
                fetch_new_messages(connection, _after(room_id, seq).where(*is_new))
                for room_id, seq in floors.items()
            )

        return self._db.read(work)

    def after(self, room_id: int, seq: int, limit: int, upto: int | None = None) -> list[Message]:
        """Return the first `limit` messages with a seq above `seq` and at most `upto`, ascending."""
        wanted = _after(room_id, seq).limit(limit)
        if upto is not None:
            wanted = wanted.where(table.c.seq <= upto)
        return self._fetch(wanted)

    def before(self, room_id: int, seq: int | None, limit: int) -> list[Message]:
        """Return the last `limit` messages with a seq below `seq` (None: the newest messages), ascending."""
        wanted = select_messages().where(table.c.room_id == room_id).order_by(table.c.seq.desc()).limit(limit)
        if seq is not None:
            wanted = wanted.where(table.c.seq < seq)
        return self._fetch(wanted)[::-1]

    def newer(self, room_ids: Sequence[int], pk: int, limit: int) -> list[Message]:
        """Return the first `limit` messages of these rooms with a pk above `pk`, ordered by pk."""

        def work(connection: Connection) -> list[Message]:
            floors = _floors(connection, room_ids, table.c.pk <= pk)
            found = (fetch_messages(connection, _after(id, seq).limit(limit)) for id, seq in floors.items())
            return _by_pk(found)[:limit]

        return self._db.read(work)

    def find(self, room_id: int, seq: int) -> Message | None:
        """Return one message; None if it is not stored."""
        found = self._fetch(select_messages().where(table.c.room_id == room_id, table.c.seq == seq))
        return found[0] if found else None

    def export(self, room_id: int) -> Iterator[Message]:
        """Yield the room's messages in order, read in chunks."""
        seq = 0
        while chunk := self.after(room_id, seq, _CHUNK):
            yield from chunk
            seq = chunk[-1].seq

    def _fetch(self, query: Select[Any]) -> list[Message]:
        return self._db.read(lambda connection: fetch_messages(connection, query))


def _after(room_id: int, seq: int) -> Select[Any]:
    return select_messages().where(table.c.room_id == room_id, table.c.seq > seq).order_by(table.c.seq)


def _by_pk(found: Iterable[list[Message]]) -> list[Message]:
    return sorted((message for messages in found for message in messages), key=lambda message: message.pk)


def _floors(connection: Connection, room_ids: Sequence[int], is_old: Any) -> dict[int, int]:
    """Return {room id: seq of its newest old message, or 0} of the rooms that have a newer one."""
    newest_old = (
        select(table.c.seq)
        .where(table.c.room_id == rooms.c.id, is_old)
        .order_by(table.c.seq.desc())
        .limit(1)
        .scalar_subquery()
    )
    found = {}
    for room_id in dict.fromkeys(room_ids):
        row = connection.execute(
            select(rooms.c.last_seq, func.coalesce(newest_old, 0)).where(rooms.c.id == room_id)
        ).first()
        if row is not None and row[0] > row[1]:
            found[room_id] = row[1]
    return found


def current_mark(connection: Connection) -> Any:
    """Return the SQL of the current mark: a transaction not committed yet will have this number or a higher one."""
    if connection.dialect.name == "postgresql":
        return literal_column("pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
    return select(func.coalesce(func.max(rooms.c.changed), 0) + 1).scalar_subquery()


def _since(connection: Connection, column: Column[int], mark: int) -> list[Any]:
    conditions: list[Any] = [column >= mark]
    if connection.dialect.name == "postgresql":
        # Rows of a restored dump may have transaction ids of another server, higher than any of this one.
        conditions.append(column < literal_column("pg_snapshot_xmax(pg_current_snapshot())::text::bigint"))
    return conditions
