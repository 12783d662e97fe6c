"""Creating, finding and changing rooms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, false, func, or_, select, update
from sqlalchemy.exc import IntegrityError

from ..identity.names import name_key
from ..identity.reserved import title_key
from ..wire.envelope import Identity
from ..wire.errors import ChatError
from .departures import is_deleted, lock_members, lock_titles, lock_user
from .history import OWNER, PRIVATE, PUBLIC, RoomRow, RoomTaken
from .member_changes import insert_member, standing
from .models import memberships, now_ms
from .models import rooms as table
from .naming import check_kind, check_name, new_epoch, private_name
from .rows import ROOM_COLUMNS, fetch_rooms, to_room, transaction_number
from .rules import TitleFacts, TitleRule
from .storable import is_storable, storable
from .transactions import Part, chunks


class Rooms(Part):
    """The methods of History for rooms."""

    def room(self, name: str) -> RoomRow | None:
        """Return the room of exactly this name, or None."""
        return self.rooms_named([name]).get(name)

    def rooms_named(self, names: Iterable[str]) -> dict[str, RoomRow]:
        """Return {name: room} of the rooms that exist."""
        wanted = [name for name in dict.fromkeys(names) if is_storable(name)]

        def work(connection: Connection) -> list[RoomRow]:
            queries = (select(*ROOM_COLUMNS).where(table.c.name.in_(chunk)) for chunk in chunks(wanted))
            return [row for query in queries for row in fetch_rooms(connection, query)]

        return {row.name: row for row in self._db.read(work)}

    def create_room(
        self,
        title: str,
        kind: str,
        creator: Identity | None,
        topic: str = "",
        ephemeral: bool = False,
        name: str | None = None,
        rule: TitleRule | None = None,
    ) -> RoomRow:
        """Create a public or private room owned by its creator, if `rule` allows it; raise RoomTaken, BadRoomName."""
        is_public = check_kind(kind) == PUBLIC
        if name is None:
            name = title if is_public else private_name()
        check_name(name)
        title = name if is_public else storable(title)
        creator_id = creator.id if creator else None
        values = _new_row(name, title, kind) | {
            "topic": storable(topic),
            "ephemeral": ephemeral,
            "created_by": creator_id,
        }

        def work(connection: Connection) -> RoomRow:
            if creator is not None:
                lock_user(connection, creator.id)
                _check_exists(connection, creator)
                if rule is not None:
                    lock_titles(connection)
                    taken = is_title_taken(connection, None, title, [creator.id])
                    rule(TitleFacts(None, count_created(connection, creator.id), taken))
            row = _insert(connection, values)
            if creator is not None:
                insert_member(connection, row.id, creator, OWNER)
            return row

        try:
            return self._db.write(work)
        except IntegrityError:
            raise RoomTaken(name) from None

    def ensure_room(self, name: str, kind: str = PUBLIC) -> RoomRow:
        """Return the room of this name, creating it if it does not exist; raise RoomTaken or BadRoomName."""
        if row := self.room(name):
            return row
        try:
            return self.create_room(name, kind, None, name=name)
        except RoomTaken:
            # Another process has just created it, or another room has the name.
            if row := self.room(name):
                return row
            raise

    def update_room(
        self,
        room_id: int,
        *,
        title: str | None = None,
        topic: str | None = None,
        by: str = "",
        rule: TitleRule | None = None,
    ) -> RoomRow | None:
        """Set the given values, if `rule` allows it, and return the room, or None if there is none."""

        def work(connection: Connection) -> RoomRow | None:
            if rule is not None:
                _check_change(connection, room_id, title, by, rule)
            return _change(connection, room_id, title, topic)

        return self._db.write(work)

    def directory(self, query: str, after: str | None, limit: int) -> list[RoomRow]:
        """Return public rooms whose names contain `query`, ordered by name, from after the name `after`."""
        wanted = select(*ROOM_COLUMNS).where(table.c.kind == PUBLIC).order_by(table.c.name_key).limit(limit)
        if key := name_key(query):
            wanted = wanted.where(table.c.name_key.contains(key, autoescape=True))
        if after is not None:
            wanted = wanted.where(table.c.name_key > name_key(after))
        return self._db.read(lambda connection: fetch_rooms(connection, wanted))

    def count_created(self, user_id: str) -> int:
        """Return how many rooms the user has created."""
        return self._db.read(lambda connection: count_created(connection, user_id))


def _new_row(name: str, title: str, kind: str) -> dict[str, Any]:
    now = now_ms()
    return {
        "name": name,
        "name_key": name_key(name) if kind == PUBLIC else None,
        "title": title,
        "title_key": title_key(title),
        "kind": kind,
        "epoch": new_epoch(),
        "first_seq": 1,
        "last_seq": 0,
        "last_at": now,
        "created_at": now,
    }


def _insert(connection: Connection, values: dict[str, Any]) -> RoomRow:
    made = table.insert().values(changed=transaction_number(connection), **values).returning(*ROOM_COLUMNS)
    return to_room(connection.execute(made).one())


def _change(connection: Connection, room_id: int, title: str | None, topic: str | None) -> RoomRow | None:
    is_it = table.c.id == room_id
    kind = connection.execute(select(table.c.kind).where(is_it)).scalar()
    values: dict[str, Any] = {} if topic is None else {"topic": storable(topic)}
    if title is not None and kind != PUBLIC:
        values |= {"title": storable(title), "title_key": title_key(storable(title))}
    differs = or_(false(), *(table.c[name] != value for name, value in values.items()))
    if connection.execute(select(table.c.id).where(is_it, differs)).first() is not None:
        number = transaction_number(connection)
        connection.execute(update(table).where(is_it).values(changed=number, **values))
    row = connection.execute(select(*ROOM_COLUMNS).where(is_it)).first()
    return to_room(row) if row else None


# ---- rules -----------------------------------------------------------------------------------------------------


def _check_exists(connection: Connection, creator: Identity) -> None:
    if is_deleted(connection, creator.id):
        raise ChatError("account_deleted")


def _check_change(connection: Connection, room_id: int, title: str | None, by: str, rule: TitleRule) -> None:
    lock_members(connection, room_id)
    role, taken = standing(connection, room_id, by, by).mine, False
    if title is not None:
        lock_titles(connection)
        members = connection.execute(select(memberships.c.user_id).where(memberships.c.room_id == room_id))
        taken = is_title_taken(connection, room_id, title, members.scalars().all())
    rule(TitleFacts(role, count_created(connection, by), taken))


def count_created(connection: Connection, user_id: str) -> int:
    """Return how many rooms the user has created."""
    wanted = select(func.count()).where(table.c.created_by == storable(user_id))
    return connection.execute(wanted).scalar_one()


def is_title_taken(connection: Connection, room_id: int | None, title: str, user_ids: Sequence[str]) -> bool:
    """Return whether another room that one of these users sees has a title that looks like this one.

    Everybody sees the public rooms. Of the private ones a user sees those that the user is a member of.
    """
    alike = [table.c.title_key == title_key(storable(title))]
    if room_id is not None:
        alike.append(table.c.id != room_id)
    wanted = select(table.c.id).where(*alike, table.c.kind == PUBLIC).limit(1)
    return connection.execute(wanted).first() is not None or has_alike(connection, alike, user_ids)


def has_alike(connection: Connection, alike: Sequence[Any], user_ids: Sequence[str]) -> bool:
    """Return whether one of the users is in a private room of which the conditions `alike` are true."""
    private = select(memberships.c.user_id).join_from(memberships, table, table.c.id == memberships.c.room_id)
    private = private.where(*alike, table.c.kind == PRIVATE).limit(1)
    for chunk in chunks(user_ids):
        if connection.execute(private.where(memberships.c.user_id.in_(chunk))).first() is not None:
            return True
    return False
