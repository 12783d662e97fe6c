"""Memberships as they are: roles, read positions, unread counts. store/member_changes.py changes them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    Select,
    and_,
    case,
    false,
    func,
    or_,
    select,
    tuple_,
    update,
)

from ..identity.names import name_key
from ..wire.envelope import Identity, deleted_user, direct_room
from .history import DIRECT, Membership, RoomOf, RoomRow
from .models import memberships as table
from .models import mentions, messages, rooms
from .rows import (
    MESSAGE_COLUMNS,
    ROOM_COLUMNS,
    deleted_among,
    show_deleted,
    to_message,
    to_room,
    user_ids,
)
from .storable import is_storable, storable
from .transactions import Part, chunks

_MEMBERSHIP = (table.c.user_id, table.c.username, table.c.role, table.c.read_seq, table.c.joined_at)
_OF_ITS_ROOM = rooms.c.id == table.c.room_id

_later = messages.alias()
_before_others = (
    select(_later.c.seq - 1)
    .where(
        _later.c.room_id == table.c.room_id,
        _later.c.seq > table.c.read_seq,
        _later.c.sender_id != table.c.user_id,
    )
    .order_by(_later.c.seq)
    .limit(1)
    .correlate(table)
    .scalar_subquery()
)
#: How far the member has read: what the member sent after that is read too, though nobody marked it.
_READ = case(
    (table.c.read_seq < rooms.c.last_seq, func.coalesce(_before_others, rooms.c.last_seq)),
    else_=table.c.read_seq,
)
_kept_from = case((rooms.c.first_seq <= _READ, _READ), else_=rooms.c.first_seq - 1)
_UNREAD = case((rooms.c.last_seq > _kept_from, rooms.c.last_seq - _kept_from), else_=0)
_MENTIONS = (
    select(func.count())
    .where(
        mentions.c.user_id == table.c.user_id,
        mentions.c.room_id == table.c.room_id,
        mentions.c.seq > table.c.read_seq,
    )
    .scalar_subquery()
)


class Members(Part):
    """The methods of History that read memberships, and `mark_read`."""

    def role(self, room_id: int, user_id: str) -> str | None:
        """Return the user's role in the room; None if the user is not a member."""
        return self.roles([(room_id, user_id)]).get((room_id, user_id))

    def roles(self, pairs: Iterable[tuple[int, str]]) -> dict[tuple[int, str], str]:
        """Return {(room id, user id): role} of the pairs that are memberships."""
        wanted = [pair for pair in dict.fromkeys(pairs) if is_storable(pair[1])]
        columns = table.c.room_id, table.c.user_id

        def work(connection: Connection) -> dict[tuple[int, str], str]:
            found: dict[tuple[int, str], str] = {}
            for chunk in chunks(wanted):
                query = select(*columns, table.c.role).where(tuple_(*columns).in_(chunk))
                found |= {(room_id, user_id): role for room_id, user_id, role in connection.execute(query)}
            return found

        return self._db.read(work)

    def members(
        self, room_id: int, after: str | None, limit: int, after_id: str | None = None
    ) -> list[Membership]:
        """Return members ordered by name and id, from after the name `after`, or after `after_id` of that name."""
        wanted = select(*_MEMBERSHIP).where(table.c.room_id == room_id)
        if after is not None:
            key = name_key(after)
            namesakes = and_(table.c.name_key == key, table.c.user_id > after_id) if after_id else false()
            wanted = wanted.where(or_(table.c.name_key > key, namesakes))
        wanted = wanted.order_by(table.c.name_key, table.c.user_id).limit(limit)

        def work(connection: Connection) -> list[Membership]:
            rows = connection.execute(wanted).all()
            gone = deleted_among(connection, (row.user_id for row in rows))
            return [Membership(_shown(Identity(id, name), gone), *rest) for id, name, *rest in rows]

        return self._db.read(work)

    def rooms_of(self, user_id: str) -> list[RoomOf]:
        """Return the rooms that the user is a member of, the most recently active first."""
        wanted = _rooms_of(storable(user_id))

        def work(connection: Connection) -> list[RoomOf]:
            found = [_room_of(row) for row in connection.execute(wanted)]
            gone = deleted_among(connection, (id for one in found for id in _ids_of(one)))
            return [_without_deleted(one, gone) for one in found] if gone else found

        return self._db.read(work)

    def unread(self, user_id: str) -> dict[str, tuple[int, int]]:
        """Return {name: (unread messages, unread mentions)} of the user's rooms that have any."""
        wanted = select(rooms.c.name, _UNREAD, _MENTIONS).join_from(table, rooms, _OF_ITS_ROOM)
        wanted = wanted.where(table.c.user_id == storable(user_id))
        rows = self._db.read(lambda connection: connection.execute(wanted).all())
        return {name: (unread, mentions) for name, unread, mentions in rows if unread or mentions}

    def read_state(self, room_id: int, user_id: str) -> tuple[int, int, int] | None:
        """Return (read_seq, unread, mentions) of a member; None if the user is not one."""
        state = self._db.read(lambda connection: _read_state(connection, room_id, user_id))
        return state and state[:3]

    def mark_read(self, room_id: int, user_id: str, seq: int) -> tuple[int, int, int] | None:
        """Advance the user's read_seq and return (read_seq, unread, mentions); None if the user is not a member."""
        now = self._db.read(lambda connection: _read_state(connection, room_id, user_id))
        if now is None or now[0] >= min(seq, now[3]):
            return now and now[:3]

        def work(connection: Connection) -> tuple[int, int, int, int] | None:
            last = select(rooms.c.last_seq).where(_OF_ITS_ROOM).scalar_subquery()
            until = case((last < seq, last), else_=seq)
            moved = (
                update(table).where(*_is(room_id, user_id), table.c.read_seq < until).values(read_seq=until)
            )
            connection.execute(moved)
            return _read_state(connection, room_id, user_id)

        after = self._db.write(work)
        return after and after[:3]


def _is(room_id: int, user_id: str) -> tuple[Any, Any]:
    return table.c.room_id == room_id, table.c.user_id == storable(user_id)


def _read_state(connection: Connection, room_id: int, user_id: str) -> tuple[int, int, int, int] | None:
    """Return (read_seq, unread, mentions, last_seq of the room) of a member."""
    wanted = select(_READ, _UNREAD, _MENTIONS, rooms.c.last_seq).join_from(table, rooms, _OF_ITS_ROOM)
    row = connection.execute(wanted.where(*_is(room_id, user_id))).first()
    return (row[0], row[1], row[2], row[3]) if row else None


_PEER = table.alias()
_MINE = (table.c.user_id, table.c.username, table.c.role, _READ, _UNREAD, _MENTIONS)

#: The columns of the room, at the start of a row of `_rooms_of`, and of the last message, at its end.
_ROOM_SIZE, _MESSAGE_SIZE = len(ROOM_COLUMNS), len(MESSAGE_COLUMNS)


def _rooms_of(user_id: str) -> Select[Any]:
    is_other_user = and_(rooms.c.kind == DIRECT, _PEER.c.room_id == rooms.c.id, _PEER.c.user_id != user_id)
    is_last_message = and_(messages.c.room_id == rooms.c.id, messages.c.seq == rooms.c.last_seq)
    return (
        select(*ROOM_COLUMNS, *_MINE, _PEER.c.user_id, _PEER.c.username, *MESSAGE_COLUMNS)
        .select_from(
            table.join(rooms, _OF_ITS_ROOM)
            .outerjoin(_PEER, is_other_user)
            .outerjoin(messages, is_last_message)
        )
        .where(table.c.user_id == user_id)
        .order_by(rooms.c.last_at.desc(), rooms.c.id.desc())
    )


def _room_of(row: Row[Any]) -> RoomOf:
    of_room, own, message = row[:_ROOM_SIZE], row[_ROOM_SIZE:-_MESSAGE_SIZE], row[-_MESSAGE_SIZE:]
    user_id, username, role, read_seq, unread, mentioned, peer_id, peer_name = own
    room = to_room(of_room)
    peer = Identity(peer_id, peer_name) if peer_id is not None else _self(room, Identity(user_id, username))
    last = to_message(message) if message[0] is not None else None
    return RoomOf(room, role, read_seq, unread, mentioned, peer, last)


def _ids_of(one: RoomOf) -> Iterator[str]:
    """Yield the ids of the users whose names a room's entry in a list shows."""
    if one.peer is not None:
        yield one.peer.id
    if one.last is not None:
        yield from user_ids(one.last)


def _without_deleted(one: RoomOf, gone: Collection[str]) -> RoomOf:
    last = None if one.last is None else show_deleted(one.last, gone)
    return one._replace(last=last, peer=None if one.peer is None else _shown(one.peer, gone))


def _shown(user: Identity, gone: Collection[str]) -> Identity:
    return deleted_user(user.id) if user.id in gone else user


def _self(room: RoomRow, user: Identity) -> Identity | None:
    """Return the user if this is the user's conversation with themself, else None."""
    return user if room.name == direct_room(user.id, user.id) else None
