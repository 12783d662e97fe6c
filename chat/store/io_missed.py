"""What a client of Socket.IO has missed, found in the store by where it stood: all of it, or nothing at all.

A process hears its own messages in the order of pk, and others' at the latest at its next look for them. So of what was
committed since the mark of the last look, its own were heard up to a pk. Others' were not heard beyond another pk;
whether those up to it were, nobody can tell but for one room, unless the process remembers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from sqlalchemy import ColumnElement, Connection, Engine, and_, not_, or_, select, true

from ..wire.envelope import other_participant
from .engine import Run
from .history import DIRECT, Message, RoomRow
from .io_values import Ambiguous, ClientPosition, Missed
from .messages import current_mark
from .models import memberships, rooms
from .models import messages as table
from .rows import ROOM_COLUMNS, fetch_messages, fetch_rooms, select_messages
from .transactions import HistoryTransactions

NOTHING: Mapping[str, int] = MappingProxyType({})


class IoMissed:
    """Finds it. `run(fn)` runs fn off the event loop."""

    def __init__(self, engine: Engine, run: Run) -> None:
        self._db = HistoryTransactions(engine, run)

    def find(
        self,
        user_id: str,
        floors: Mapping[str, int],
        standing: ClientPosition,
        limit: int,
        heard: Mapping[str, int] = NOTHING,
    ) -> Missed | Ambiguous | None:
        """Return what a user in the rooms of `floors`, by name, has missed there and in direct conversations.

        Nothing with a seq below a room's floor is missed. `heard` tells of some rooms up to which seq they were heard,
        whatever `standing` says. None where it is more than `limit` messages, and where some are kept no more. May
        raise StoreUnavailable.
        """

        def work(connection: Connection) -> Missed | Ambiguous | None:
            mark = connection.execute(select(current_mark(connection))).scalar_one()
            late: list[Message] = []
            missed: list[Message] = []
            doubtful: list[str] = []
            for row in _rooms(connection, user_id, floors, standing):
                found = _Room(connection, row, floors.get(row.name, 0), standing, limit, heard.get(row.name))
                if found.is_retelling_in_doubt() or not found.is_whole():
                    return None
                if found.is_hearing_in_doubt():
                    doubtful.append(row.name)
                late += found.late
                missed += found.missed
                if len(late) + len(missed) > limit:
                    return None
            if doubtful:
                return Ambiguous(doubtful)
            return Missed(late, sorted(missed, key=lambda message: message.pk), mark)

        return self._db.read(work)


class _Room:
    """One room, looked at for what was missed there; `heard` is the seq up to which it was heard, if that is known."""

    def __init__(
        self,
        connection: Connection,
        row: RoomRow,
        floor: int,
        standing: ClientPosition,
        limit: int,
        heard: int | None,
    ) -> None:
        self._connection = connection
        self._row = row
        self._standing = standing
        apart = standing.at[1] if standing.at is not None and standing.at[0] == row.id else None
        self._is_apart = apart is not None
        self._is_known = heard is not None and apart is None
        #: Seq after which there may be something that was missed.
        self._since = apart if apart is not None else max(floor - 1, heard or 0, 0)
        # More than `limit` would be too much, so that nothing further back needs to be looked at.
        newest = max(self._since, row.last_seq - limit - 1)
        self._is_later = true() if self._is_known else self._has_come_later()
        self.late = self._after(newest, not_(self._is_later)) if self._is_apart else []
        told = standing.retold[0] if standing.retold is not None else 0
        self.missed = self._after(newest, and_(self._is_later, table.c.pk > told))

    def _has_come_later(self) -> ColumnElement[bool]:
        standing = self._standing
        is_own = table.c.origin == standing.origin
        is_beyond = or_(
            and_(is_own, table.c.pk > standing.pk), and_(not_(is_own), table.c.pk > standing.heard)
        )
        return and_(is_beyond, table.c.batch >= standing.mark)

    def _after(self, seq: int, condition: ColumnElement[bool]) -> list[Message]:
        wanted = select_messages().where(table.c.room_id == self._row.id, table.c.seq > seq, condition)
        return fetch_messages(self._connection, wanted.order_by(table.c.seq))

    def is_whole(self) -> bool:
        """Tell whether what was heard and what was missed meet, with nothing between them that is kept no more."""
        found = [*self.late, *self.missed]
        last_heard = found[0].seq - 1 if found else self._row.last_seq
        if last_heard <= self._since:
            return True
        is_scattered = not (self._is_apart or self._is_known) or self._standing.retold is not None
        return is_scattered and self._is_kept(last_heard)

    def _is_kept(self, seq: int) -> bool:
        wanted = select(table.c.seq).where(table.c.room_id == self._row.id, table.c.seq == seq)
        return self._connection.execute(wanted).first() is not None

    def is_retelling_in_doubt(self) -> bool:
        """Tell whether something was committed after it was read what to tell again, with a pk that was passed then."""
        if self._standing.retold is None:
            return False
        told, mark = self._standing.retold
        return self._is_any(self._since, and_(self._is_later, table.c.pk <= told, table.c.batch >= mark))

    def is_hearing_in_doubt(self) -> bool:
        """Tell whether there is a message of which nobody but the process knows whether it was heard."""
        if self._is_apart or self._is_known:
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
        is_doubtful = and_(table.c.pk <= standing.heard, table.c.origin != standing.origin)
        return self._is_any(since, is_doubtful)

    def _is_any(self, seq: int, condition: ColumnElement[bool]) -> bool:
        wanted = select(table.c.seq).where(table.c.room_id == self._row.id, table.c.seq > seq, condition)
        return self._connection.execute(wanted.limit(1)).first() is not None


def _rooms(
    connection: Connection, user_id: str, names: Mapping[str, int], standing: ClientPosition
) -> Sequence[RoomRow]:
    """Return those of the user's rooms in which something may have been missed."""
    own = select(memberships.c.room_id).where(memberships.c.user_id == user_id)
    is_own = or_(rooms.c.name.in_(list(names)), and_(rooms.c.kind == DIRECT, rooms.c.id.in_(own)))
    wanted = select(*ROOM_COLUMNS).where(is_own, rooms.c.ephemeral.is_(False), rooms.c.last_seq > 0)
    is_news = rooms.c.changed >= standing.mark
    if standing.at is not None:
        is_news = or_(is_news, rooms.c.id == standing.at[0])
    wanted = wanted.where(is_news)
    found = fetch_rooms(connection, wanted.order_by(rooms.c.id))
    return [row for row in found if row.kind != DIRECT or other_participant(row.name, user_id) is not None]
