"""How memberships begin, change and end. Rules are asked inside the transaction that writes: store/rules.py."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, literal, select, update

from ..identity.names import name_key
from ..wire.envelope import Identity
from .departures import (
    depart,
    end_account,
    is_deleted,
    is_empty,
    is_users_own,
    lock_members,
    lock_user,
    ownerless,
    repair,
)
from .engine import insert_of
from .history import MEMBER, OWNER, RoomRow
from .models import memberships as table
from .models import now_ms, rooms
from .rows import ROOM_COLUMNS, fetch_rooms
from .rules import Departure, EndedAccount, MemberRule, Standing
from .storable import storable
from .transactions import Part, chunks


class MemberChanges(Part):
    """The methods of History that change memberships."""

    def join(
        self, room_id: int, user: Identity, role: str = MEMBER, by: str = "", rule: MemberRule | None = None
    ) -> bool:
        """Add a member who has read everything so far; return False if the user already is one, or is deleted."""
        is_member = select(table.c.role).where(*_is(room_id, storable(user.id)))
        if (
            rule is None
            and self._db.read(lambda connection: connection.execute(is_member).first()) is not None
        ):
            return False

        def work(connection: Connection) -> bool:
            lock_user(connection, user.id)
            if rule is not None:
                lock_members(connection, room_id)
                rule(standing(connection, room_id, by, user.id))
            return admit(connection, room_id, user, role)

        return self._db.write(work)

    def set_role(
        self, room_id: int, user_id: str, role: str, by: str = "", rule: MemberRule | None = None
    ) -> bool:
        """Change a member's role, if `rule` lets it pass; return False if the user is not a member."""
        change = update(table).where(*_is(room_id, user_id)).values(role=role)

        def work(connection: Connection) -> bool:
            lock_members(connection, room_id)
            if rule is not None:
                rule(standing(connection, room_id, by, user_id))
            return connection.execute(change).rowcount == 1

        return self._db.write(work)

    def leave(
        self, room_id: int, user_id: str, by: str = "", rule: MemberRule | None = None
    ) -> Departure | None:
        """Remove a member, if `rule` lets it pass, and hand the room on; return None if the user was not one."""

        def work(connection: Connection) -> Departure | None:
            lock_members(connection, room_id)
            state = standing(connection, room_id, by, user_id)
            if rule is not None:
                rule(state)
            if state.theirs is None:
                return None
            name = connection.execute(select(rooms.c.name).where(rooms.c.id == room_id)).scalar_one()
            return Departure(name, depart(connection, room_id, storable(user_id)))

        return self._db.write(work)

    def end_account(self, user_id: str) -> EndedAccount | None:
        """End an account and its memberships, and hand its rooms on; None if it has ended already."""
        return self._db.write(lambda connection: end_account(connection, user_id))

    def ownerless_rooms(self) -> list[RoomRow]:
        """Return the rooms that a user created and that have no owner, or a deleted one, by id."""

        def work(connection: Connection) -> list[RoomRow]:
            ids = ownerless(connection)
            queries = (select(*ROOM_COLUMNS).where(rooms.c.id.in_(chunk)) for chunk in chunks(ids))
            return sorted(row for query in queries for row in fetch_rooms(connection, query))

        return self._db.read(work)

    def repair_owner(self, room_id: int) -> Departure | None:
        """Give such a room an owner; None if it has one. The successor is None where nobody is left."""

        def work(connection: Connection) -> Departure | None:
            is_changed, heir = repair(connection, room_id)
            name = select(rooms.c.name).where(rooms.c.id == room_id)
            return Departure(connection.execute(name).scalar_one(), heir) if is_changed else None

        return self._db.write(work)


def admit(connection: Connection, room_id: int, user: Identity, role: str) -> bool:
    """Add a member, unless the account has ended; the caller has locked the user.

    The first member of a room that a user created and everybody left becomes its owner.
    """
    if is_deleted(connection, user.id):
        return False
    if is_users_own(connection, room_id):
        lock_members(connection, room_id)
        role = OWNER if is_empty(connection, room_id) else role
    return insert_member(connection, room_id, user, role)


def insert_member(connection: Connection, room_id: int, user: Identity, role: str) -> bool:
    """Add a member who has read everything so far; return False if the user is one, or the room does not exist."""
    insert = insert_of(connection)
    values = {
        "user_id": storable(user.id),
        "username": storable(user.username),
        "name_key": name_key(user.username),
        "role": role,
        "joined_at": now_ms(),
    }
    columns = [table.c[name] for name in values]
    given = [literal(value, column.type) for value, column in zip(values.values(), columns, strict=True)]
    row = select(rooms.c.id, rooms.c.last_seq, *given).where(rooms.c.id == room_id)
    made = insert(table).from_select([table.c.room_id, table.c.read_seq, *columns], row)
    made = made.on_conflict_do_nothing()
    return connection.execute(made.returning(table.c.user_id)).first() is not None


def standing(connection: Connection, room_id: int, by: str, user_id: str) -> Standing:
    """Return the facts that a rule about a change of members decides by; the room's members are locked."""
    ids = [storable(by), storable(user_id)]
    wanted = select(table.c.user_id, table.c.role).where(table.c.room_id == room_id, table.c.user_id.in_(ids))
    roles = {row.user_id: row.role for row in connection.execute(wanted)}
    owners = select(func.count()).where(table.c.room_id == room_id, table.c.role == OWNER)
    return Standing(roles.get(ids[0]), roles.get(ids[1]), connection.execute(owners).scalar_one())


def rename(connection: Connection, user: Identity) -> None:
    """Change the user's name in all memberships."""
    change = update(table).where(table.c.user_id == user.id)
    connection.execute(change.values(username=user.username, name_key=name_key(user.username)))


def _is(room_id: int, user_id: str) -> tuple[Any, Any]:
    return table.c.room_id == room_id, table.c.user_id == storable(user_id)
