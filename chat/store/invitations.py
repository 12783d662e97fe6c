"""Invitations to rooms on SQLite and PostgreSQL: chat.store.inviting."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, delete, func, select, update

from ..wire.envelope import Identity
from .departures import is_empty, lock_members, lock_user
from .engine import insert_of
from .history import PRIVATE
from .inviting import DAY_MS, HOUR_MS, OPEN_FOR_MS, Accepted, Invitation, Invited, State
from .member_changes import admit, standing
from .models import invitations as table
from .models import now_ms, rooms
from .rooms import has_alike
from .rules import AcceptanceFacts, AcceptanceRule, InvitationFacts, InvitationRule, MemberRule
from .storable import storable
from .transactions import Part


class Invitations(Part):
    """The methods of History for invitations."""

    def invite(
        self, room_id: int, inviter: Identity, user: Identity, role: str, rule: InvitationRule
    ) -> Invited:
        """Invite a user, if `rule` lets it pass."""

        def work(connection: Connection) -> Invited:
            lock_user(connection, inviter.id)
            lock_members(connection, room_id)
            now = now_ms()
            state, row = (
                standing(connection, room_id, inviter.id, user.id),
                _find(connection, room_id, user.id),
            )
            is_open = row is not None and _is_open(row, now)
            # Asking again changes nothing and counts for nothing.
            counts = (0, 0) if is_open or state.theirs else _counts(connection, inviter.id, now)
            declined = row is not None and row.state == State.DECLINED and row.answered_at > now - DAY_MS
            rule(InvitationFacts(state.mine, state.theirs, *counts, declined))
            if state.theirs is not None:
                return Invited(state.theirs, True, False)
            if is_open:
                return Invited(row.role, False, False)
            _forget_old(connection, inviter.id, now)
            times = 1 + row.times if row is not None and row.created_at > now - HOUR_MS else 1
            _insert(connection, room_id, inviter, user, role, now, times)
            return Invited(role, False, True)

        return self._db.write(work)

    def accept(self, room_id: int, user: Identity, rule: AcceptanceRule) -> Accepted | None:
        """Make a user with an open invitation a member; None where there is none."""

        def work(connection: Connection) -> Accepted | None:
            lock_user(connection, user.id)
            lock_members(connection, room_id)
            row = _find(connection, room_id, user.id)
            if row is None or not _is_open(row, now_ms()) or is_empty(connection, room_id):
                return None
            inviter = standing(connection, room_id, row.inviter_id, user.id).mine
            rule(AcceptanceFacts(inviter, row.role, _is_taken(connection, room_id, user.id)))
            _answer(connection, room_id, user.id, State.ACCEPTED)
            fresh = admit(connection, room_id, user, row.role)
            return Accepted(row.role, Identity(row.inviter_id, row.inviter_name), fresh)

        return self._db.write(work)

    def decline(self, room_id: int, user_id: str) -> bool:
        """Decline an open invitation; return whether there was one."""
        return self._db.write(lambda connection: _answer(connection, room_id, user_id, State.DECLINED))

    def withdraw(self, room_id: int, user_id: str, by: str, rule: MemberRule) -> bool:
        """Withdraw an open invitation if `rule` lets it pass; return whether there was one."""

        def work(connection: Connection) -> bool:
            lock_members(connection, room_id)
            rule(standing(connection, room_id, by, user_id))
            return _answer(connection, room_id, user_id, State.WITHDRAWN)

        return self._db.write(work)

    def invitations_of(self, user_id: str, limit: int) -> list[Invitation]:
        """Return the user's open invitations, the newest first."""
        return self._list(_open_ones().where(table.c.user_id == storable(user_id)).limit(limit))

    def invitations_to(self, room_id: int, limit: int) -> list[Invitation]:
        """Return the open invitations to a room, the newest first."""
        return self._list(_open_ones().where(table.c.room_id == room_id).limit(limit))

    def _list(self, wanted: Select[Any]) -> list[Invitation]:
        rows = self._db.read(lambda connection: connection.execute(wanted).all())
        return [
            Invitation(room, title, topic, kind, Identity(id, name), Identity(by, by_name), role, at)
            for room, title, topic, kind, id, name, by, by_name, role, at in rows
        ]


def _open_ones() -> Select[Any]:
    of_room = rooms.c.name, rooms.c.title, rooms.c.topic, rooms.c.kind
    own = ("user_id", "username", "inviter_id", "inviter_name", "role", "created_at")
    wanted = select(*of_room, *(table.c[name] for name in own))
    wanted = wanted.join_from(table, rooms, rooms.c.id == table.c.room_id)
    is_open = table.c.state == State.OPEN, table.c.created_at > now_ms() - OPEN_FOR_MS
    return wanted.where(*is_open).order_by(table.c.created_at.desc(), table.c.room_id, table.c.user_id)


def _is(room_id: int, user_id: str) -> tuple[Any, Any]:
    return table.c.room_id == room_id, table.c.user_id == storable(user_id)


def _find(connection: Connection, room_id: int, user_id: str) -> Any:
    return connection.execute(select(table).where(*_is(room_id, user_id))).first()


def _is_open(row: Any, now: int) -> bool:
    return row.state == State.OPEN and row.created_at > now - OPEN_FOR_MS


def _counts(connection: Connection, inviter_id: str, now: int) -> tuple[int, int]:
    """Return how many invitations of a user are open, and how many are of the last hour."""
    is_mine = table.c.inviter_id == storable(inviter_id)
    waiting = table.c.state == State.OPEN, table.c.created_at > now - OPEN_FOR_MS
    is_open = select(func.count()).where(is_mine, *waiting)
    recent = select(func.coalesce(func.sum(table.c.times), 0)).where(
        is_mine, table.c.created_at > now - HOUR_MS
    )
    return connection.execute(is_open).scalar_one(), connection.execute(recent).scalar_one()


def _forget_old(connection: Connection, inviter_id: str, now: int) -> None:
    """Delete this user's invitations that no rule asks for any more."""
    old = (table.c.answered_at < now - DAY_MS) | (table.c.created_at < now - OPEN_FOR_MS)
    connection.execute(delete(table).where(table.c.inviter_id == storable(inviter_id), old))


def _insert(
    connection: Connection, room_id: int, inviter: Identity, user: Identity, role: str, now: int, times: int
) -> None:
    values = {
        "username": storable(user.username),
        "inviter_id": storable(inviter.id),
        "inviter_name": storable(inviter.username),
        "role": role,
        "state": State.OPEN.value,
        "created_at": now,
        "times": times,
        "answered_at": None,
    }
    made = insert_of(connection)(table).values(room_id=room_id, user_id=storable(user.id), **values)
    connection.execute(made.on_conflict_do_update(index_elements=["room_id", "user_id"], set_=values))


def _answer(connection: Connection, room_id: int, user_id: str, state: State) -> bool:
    now = now_ms()
    is_open = table.c.state == State.OPEN, table.c.created_at > now - OPEN_FOR_MS
    change = update(table).where(*_is(room_id, user_id), *is_open)
    return connection.execute(change.values(state=state.value, answered_at=now)).rowcount == 1


def _is_taken(connection: Connection, room_id: int, user_id: str) -> bool:
    """Return whether the user is in another private room whose title looks like that of this private room."""
    room = connection.execute(select(rooms.c.title_key, rooms.c.kind).where(rooms.c.id == room_id)).one()
    alike = rooms.c.title_key == room.title_key, rooms.c.id != room_id
    return room.kind == PRIVATE and has_alike(connection, alike, [storable(user_id)])
