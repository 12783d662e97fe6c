"""Finds in the store what a Socket.IO client has missed, by its position: all of it, or nothing.

A process delivers its own messages in the order of pk, and other processes' messages at the latest when it checks for
them. So of the messages committed since the mark of its last check, it had delivered its own up to one pk, and none of
other processes beyond another pk. Those up to it are ambiguous, except in one room: only the process may remember
whether it delivered them. docs/decisions/0009 explains the method.
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
    """Finds missed messages. `run(fn)` runs fn off the event loop."""

    def __init__(self, engine: Engine, run: Run) -> None:
        self._db = HistoryTransactions(engine, run)

    def find(
        self,
        user_id: str,
        floors: Mapping[str, int],
        position: ClientPosition,
        limit: int,
        known: Mapping[str, int] = NOTHING,
        delivered_mark: int | None = None,
    ) -> Missed | Ambiguous | None:
        """Return what a user has missed in rooms and direct conversations, or which of them are ambiguous.

        `floors` is {room: seq of the first message that the client may receive there}. `known` is {room: seq of the
        last message that it received there}, for rooms where that is known, whatever `position` says. `delivered_mark`
        is the mark before which the asking process has delivered all messages. Returns None if there are more than
        `limit` messages, or some are no longer stored. May raise StoreUnavailable.
        """
        since = position.mark if delivered_mark is None else min(position.mark, delivered_mark)

        def work(connection: Connection) -> Missed | Ambiguous | None:
            mark = connection.execute(select(current_mark(connection))).scalar_one()
            late: list[Message] = []
            missed: list[Message] = []
            ambiguous: list[str] = []
            changed = _changed_rooms(connection, user_id, floors, position, since)
            for row in changed:
                floor, last_received = floors.get(row.name, 0), known.get(row.name)
                found = _MissedInRoom(connection, row, floor, position, limit, last_received)
                if found.is_replay_ambiguous() or not found.is_complete():
                    return None
                if found.is_ambiguous():
                    ambiguous.append(row.name)
                late += found.late
                missed += found.missed
                if len(late) + len(missed) > limit:
                    return None
            if ambiguous:
                return Ambiguous(ambiguous)
            conversations = {row.name: row.last_seq for row in changed if row.kind == DIRECT}
            return Missed(late, sorted(missed, key=lambda message: message.pk), mark, conversations)

        return self._db.read(work)


class _MissedInRoom:
    """What was missed in one room; `last_received` is the seq of the last received message, if it is known."""

    def __init__(
        self,
        connection: Connection,
        row: RoomRow,
        floor: int,
        position: ClientPosition,
        limit: int,
        last_received: int | None,
    ) -> None:
        self._connection = connection
        self._row = row
        self._position = position
        room = position.room
        exact_seq = room[1] if room is not None and room[0] == row.id else None
        self._is_exact = exact_seq is not None
        self._is_known = last_received is not None and exact_seq is None
        #: Seq after which messages may have been missed.
        self._since = exact_seq if exact_seq is not None else max(floor - 1, last_received or 0, 0)
        # More than `limit` messages are too many anyway, so nothing before that has to be read.
        oldest = max(self._since, row.last_seq - limit - 1)
        self._is_later = true() if self._is_known else self._is_after_position()
        self.late = self._after(oldest, not_(self._is_later)) if self._is_exact else []
        replayed_pk = position.replayed[0] if position.replayed is not None else 0
        self.missed = self._after(oldest, and_(self._is_later, table.c.pk > replayed_pk))

    def _is_after_position(self) -> ColumnElement[bool]:
        position = self._position
        is_own = table.c.origin == position.origin
        is_beyond = or_(
            and_(is_own, table.c.pk > position.pk), and_(not_(is_own), table.c.pk > position.peer_pk)
        )
        return and_(is_beyond, table.c.batch >= position.mark)

    def _after(self, seq: int, condition: ColumnElement[bool]) -> list[Message]:
        wanted = select_messages().where(table.c.room_id == self._row.id, table.c.seq > seq, condition)
        return fetch_messages(self._connection, wanted.order_by(table.c.seq))

    def is_complete(self) -> bool:
        """Return whether no message between the received and the missed ones has been pruned."""
        found = [*self.late, *self.missed]
        last_received = found[0].seq - 1 if found else self._row.last_seq
        if last_received <= self._since:
            return True
        may_have_more = not (self._is_exact or self._is_known) or self._position.replayed is not None
        return may_have_more and self._is_stored(last_received)

    def _is_stored(self, seq: int) -> bool:
        wanted = select(table.c.seq).where(table.c.room_id == self._row.id, table.c.seq == seq)
        return self._connection.execute(wanted).first() is not None

    def is_replay_ambiguous(self) -> bool:
        """Return whether a message was committed after the replay had read, with a pk that the replay has passed."""
        if self._position.replayed is None:
            return False
        replayed_pk, mark = self._position.replayed
        return self._has_any(
            self._since, and_(self._is_later, table.c.pk <= replayed_pk, table.c.batch >= mark)
        )

    def is_ambiguous(self) -> bool:
        """Return whether only the process knows if some message has been received."""
        if self._is_exact or self._is_known:
            return False
        is_here, position = table.c.room_id == self._row.id, self._position
        # A room's messages are committed in the order of seq.
        received = (
            select(table.c.seq)
            .where(is_here, table.c.batch < position.mark)
            .order_by(table.c.seq.desc())
            .limit(1)
        )
        since = max(self._connection.execute(received).scalar() or 0, self._since)
        is_ambiguous = and_(table.c.pk <= position.peer_pk, table.c.origin != position.origin)
        return self._has_any(since, is_ambiguous)

    def _has_any(self, seq: int, condition: ColumnElement[bool]) -> bool:
        wanted = select(table.c.seq).where(table.c.room_id == self._row.id, table.c.seq > seq, condition)
        return self._connection.execute(wanted.limit(1)).first() is not None


def _changed_rooms(
    connection: Connection, user_id: str, names: Mapping[str, int], position: ClientPosition, since: int
) -> Sequence[RoomRow]:
    """Return the user's rooms in which messages may have been missed, and others that have changed since `since`."""
    own = select(memberships.c.room_id).where(memberships.c.user_id == user_id)
    is_own = or_(rooms.c.name.in_(list(names)), and_(rooms.c.kind == DIRECT, rooms.c.id.in_(own)))
    wanted = select(*ROOM_COLUMNS).where(is_own, rooms.c.ephemeral.is_(False), rooms.c.last_seq > 0)
    is_changed = rooms.c.changed >= since
    if position.room is not None:
        is_changed = or_(is_changed, rooms.c.id == position.room[0])
    wanted = wanted.where(is_changed)
    found = fetch_rooms(connection, wanted.order_by(rooms.c.id))
    return [row for row in found if row.kind != DIRECT or other_participant(row.name, user_id) is not None]
