"""What a client of Socket.IO has missed, found in the store by where it stood: all of it, or nothing at all.

A process hears its own messages in the order of pk, and others' at the latest at its next look for them. So of what was
committed since the mark of the last look, its own were heard up to a pk, and those of others beyond that pk were not.
Whether others' below it were, nobody can tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, and_, not_, or_, select

from ..envelope import other_end
from .engine import Run
from .history import DIRECT, Message, RoomRow
from .messages import current_mark
from .models import memberships, rooms
from .models import messages as table
from .rows import ROOM_COLUMNS, fetch_messages, fetch_rooms, select_messages
from .transactions import HistoryTransactions


class Standing(NamedTuple):
    """How far a client has heard, by chat.socketio.offsets."""

    #: The process that told it so; None: what it heard last was replayed, and everything up to `pk` has been.
    origin: int | None
    pk: int
    mark: int
    #: A room, by its id, in which it has heard up to this seq instead.
    at: tuple[int, int] | None = None


class Missed(NamedTuple):
    """What a client has missed, and the mark before which nothing else has been committed."""

    #: Of the room that stands apart, those from before what `pk` and `mark` tell of; by seq.
    late: list[Message]
    #: All others, by pk.
    messages: list[Message]
    mark: int


class IoMissed:
    """Finds it. `run(fn)` runs fn off the event loop."""

    def __init__(self, engine: Engine, run: Run) -> None:
        self._db = HistoryTransactions(engine, run)

    def find(self, user_id: str, floors: Mapping[str, int], standing: Standing, limit: int) -> Missed | None:
        """Return what a user in the rooms of `floors`, by name, has missed there and in direct conversations.

        Nothing with a seq below a room's floor is missed. None where it is more than `limit` messages, where some are
        kept no more, and where nobody can tell. May raise StoreUnavailable.
        """

        def work(connection: Connection) -> Missed | None:
            mark = connection.execute(select(current_mark(connection))).scalar_one()
            late: list[Message] = []
            missed: list[Message] = []
            for row in _rooms(connection, user_id, floors, standing):
                found = _Room(connection, row, floors.get(row.name, 0), standing, limit)
                if found.is_in_doubt() or not found.is_whole():
                    return None
                late += found.late
                missed += found.missed
                if len(late) + len(missed) > limit:
                    return None
            return Missed(late, sorted(missed, key=lambda message: message.pk), mark)

        return self._db.read(work)


class _Room:
    """One room, looked at for what was missed there."""

    def __init__(
        self, connection: Connection, row: RoomRow, floor: int, standing: Standing, limit: int
    ) -> None:
        self._connection = connection
        self._row = row
        self._standing = standing
        self._is_apart = standing.at is not None and standing.at[0] == row.id
        #: Seq after which there may be something that was missed.
        self._since = standing.at[1] if self._is_apart and standing.at is not None else max(floor, 1) - 1
        # More than `limit` would be too much, so that nothing further back needs to be looked at.
        newest = max(self._since, row.last_seq - limit - 1)
        is_later = table.c.pk > standing.pk
        if standing.origin is not None:
            is_later = and_(is_later, table.c.batch >= standing.mark)
        self.late = self._after(newest, not_(is_later)) if self._is_apart else []
        self.missed = self._after(newest, is_later)

    def _after(self, seq: int, condition: ColumnElement[bool]) -> list[Message]:
        wanted = select_messages().where(table.c.room_id == self._row.id, table.c.seq > seq, condition)
        return fetch_messages(self._connection, wanted.order_by(table.c.seq))

    def is_whole(self) -> bool:
        """Tell whether what was heard and what was missed meet, with nothing between them that is kept no more."""
        found = [*self.late, *self.missed]
        last_heard = found[0].seq - 1 if found else self._row.last_seq
        return last_heard <= self._since or (not self._is_apart and self._is_kept(last_heard))

    def _is_kept(self, seq: int) -> bool:
        wanted = select(table.c.seq).where(table.c.room_id == self._row.id, table.c.seq == seq)
        return self._connection.execute(wanted).first() is not None

    def is_in_doubt(self) -> bool:
        """Tell whether there is a message of which nobody knows whether it was heard."""
        if self._is_apart:
            return False
        mine, standing = table.c.room_id == self._row.id, self._standing
        # In a room, messages are committed in the order of seq.
        sure = (
            select(table.c.seq)
            .where(mine, table.c.batch < standing.mark)
            .order_by(table.c.seq.desc())
            .limit(1)
        )
        since = max(self._connection.execute(sure).scalar() or 0, self._since)
        doubtful = select(table.c.seq).where(mine, table.c.seq > since, table.c.pk <= standing.pk)
        if standing.origin is not None:
            doubtful = doubtful.where(table.c.origin != standing.origin)
        return self._connection.execute(doubtful.limit(1)).first() is not None


def _rooms(
    connection: Connection, user_id: str, names: Mapping[str, int], standing: Standing
) -> Sequence[RoomRow]:
    """Return those of the user's rooms in which something may have been missed."""
    own = select(memberships.c.room_id).where(memberships.c.user_id == user_id)
    is_own = or_(rooms.c.name.in_(list(names)), and_(rooms.c.kind == DIRECT, rooms.c.id.in_(own)))
    wanted = select(*ROOM_COLUMNS).where(is_own, rooms.c.ephemeral.is_(False), rooms.c.last_seq > 0)
    if standing.origin is not None:
        is_news = rooms.c.changed >= standing.mark
        if standing.at is not None:
            is_news = or_(is_news, rooms.c.id == standing.at[0])
        wanted = wanted.where(is_news)
    found = fetch_rooms(connection, wanted.order_by(rooms.c.id))
    return [row for row in found if row.kind != DIRECT or other_end(row.name, user_id) is not None]
