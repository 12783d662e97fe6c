"""How a membership ends, and an account with all of its memberships; within the caller's transaction.

Two transactions that change the members of one room wait for each other. Locks are taken in this order, so that none
wait in a circle: users, then rooms by id, then titles.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, and_, case, delete, exists, not_, select, update

from ..identity.names import name_key
from ..wire.envelope import Identity, other_participant
from .engine import lock
from .history import ADMIN, DIRECT, OWNER
from .inviting import State
from .models import invitations, memberships, now_ms, rooms, users
from .rows import deleted_among
from .rules import Departure, EndedAccount
from .storable import storable
from .transactions import chunks

#: Owners first, then admins, as in chat.store.succession.
_RANK = case((memberships.c.role == OWNER, 0), (memberships.c.role == ADMIN, 1), else_=2)


def lock_user(connection: Connection, user_id: str) -> None:
    """Let one transaction at a time begin memberships of this user, or end the account."""
    lock(connection, f"user:{user_id}")


def lock_members(connection: Connection, room_id: int) -> None:
    """Let one transaction at a time change the members of this room."""
    lock(connection, f"members:{room_id}")


def lock_titles(connection: Connection) -> None:
    """Let one transaction at a time give a room a title."""
    lock(connection, "titles")


def is_deleted(connection: Connection, user_id: str) -> bool:
    """Return whether the user's account has ended; an id without a row is a site's own user."""
    return bool(deleted_among(connection, [storable(user_id)]))


def depart(connection: Connection, room_id: int, user_id: str) -> Identity | None:
    """Remove a member of a room whose members are locked; return the member who becomes the owner by it."""
    end = delete(memberships).where(memberships.c.room_id == room_id, memberships.c.user_id == user_id)
    role = connection.execute(end.returning(memberships.c.role)).scalar()
    heir = hand_on(connection, room_id) if role == OWNER else None
    void = [invitations.c.room_id == room_id, invitations.c.state == State.OPEN]
    if not is_empty(connection, room_id):
        # Of a room that everybody left, nobody may accept an invitation any more.
        void.append(invitations.c.inviter_id == user_id)
    # They stay, so that leaving a room does not let its inviter begin to count anew.
    withdraw = update(invitations).where(*void)
    connection.execute(withdraw.values(state=State.WITHDRAWN.value, answered_at=now_ms()))
    return heir


def hand_on(connection: Connection, room_id: int) -> Identity | None:
    """Make the first in succession the owner, if there is no owner; return that member."""
    columns = memberships.c.user_id, memberships.c.username, memberships.c.role
    wanted = select(*columns).where(memberships.c.room_id == room_id)
    wanted = wanted.order_by(_RANK, memberships.c.joined_at, memberships.c.user_id).limit(1)
    first = connection.execute(wanted).first()
    if first is None or first.role == OWNER:
        return None
    heir = Identity(first.user_id, first.username)
    it = memberships.c.room_id == room_id, memberships.c.user_id == heir.id
    connection.execute(update(memberships).where(*it).values(role=OWNER))
    return heir


def is_empty(connection: Connection, room_id: int) -> bool:
    """Return whether the room has no members."""
    wanted = select(memberships.c.user_id).where(memberships.c.room_id == room_id).limit(1)
    return connection.execute(wanted).first() is None


# ---- accounts --------------------------------------------------------------------------------------------------


def end_account(connection: Connection, user_id: str) -> EndedAccount | None:
    """End an account and all of its memberships: History.end_account."""
    user_id = storable(user_id)
    lock_user(connection, user_id)
    if is_deleted(connection, user_id):
        return None
    places = _places(connection, user_id)
    if not _mark_deleted(connection, user_id, places):
        return None
    departures = []
    for place in places:
        if place.kind != DIRECT:
            lock_members(connection, place.id)
            departures.append(Departure(place.name, depart(connection, place.id, user_id)))
    own = (invitations.c.user_id == user_id) | (invitations.c.inviter_id == user_id)
    connection.execute(delete(invitations).where(own))
    others = ((place.name, other_participant(place.name, user_id)) for place in places)
    return EndedAccount(
        departures, [(name, other) for name, other in others if other not in (None, "", user_id)]
    )


def _places(connection: Connection, user_id: str) -> Any:
    """Return the rooms of a user by id: (id, name, kind, the user's name there)."""
    wanted = (
        select(rooms.c.id, rooms.c.name, rooms.c.kind, memberships.c.username)
        .join_from(memberships, rooms, rooms.c.id == memberships.c.room_id)
        .where(memberships.c.user_id == user_id)
        .order_by(rooms.c.id)
    )
    return connection.execute(wanted).all()


def _mark_deleted(connection: Connection, user_id: str, places: Any) -> bool:
    """Mark the user's row, made now for a site's own user who has none; return False for somebody unknown."""
    now = now_ms()
    latest = case((users.c.tokens_valid_after > now, users.c.tokens_valid_after), else_=now)
    values = {"password_hash": None, "deleted_at": now, "tokens_valid_after": latest}
    if connection.execute(update(users).where(users.c.id == user_id).values(**values)).rowcount:
        return True
    if not places:
        return False
    name = places[0].username
    # The site may give the name to another of its users: it is not kept taken.
    keys = {"name_key": f" {user_id}", "lookup_key": name_key(name)}
    row = {"id": user_id, "username": name, "created_at": now, "deleted_at": now, "tokens_valid_after": now}
    connection.execute(users.insert(), row | keys)
    return True


# ---- repair ----------------------------------------------------------------------------------------------------


def ownerless(connection: Connection) -> list[int]:
    """Return the ids of rooms that a user created and that have no owner, or a deleted one."""
    owned = exists().where(memberships.c.room_id == rooms.c.id, memberships.c.role == OWNER)
    members = exists().where(memberships.c.room_id == rooms.c.id)
    made_by_a_user = and_(rooms.c.created_by.is_not(None), rooms.c.kind != DIRECT)
    wanted = select(rooms.c.id).where(made_by_a_user, members, not_(owned))
    found = set(connection.execute(wanted).scalars())
    gone = connection.execute(select(users.c.id).where(users.c.deleted_at.is_not(None))).scalars().all()
    for chunk in chunks(gone):
        dead = (
            select(memberships.c.room_id)
            .join_from(memberships, rooms, rooms.c.id == memberships.c.room_id)
            .where(memberships.c.user_id.in_(chunk), rooms.c.kind != DIRECT)
        )
        found.update(connection.execute(dead).scalars())
    return sorted(found)


def repair(connection: Connection, room_id: int) -> tuple[bool, Identity | None]:
    """End memberships of deleted accounts in a room, and give it an owner; return whether anything changed, and who."""
    lock_members(connection, room_id)
    present = select(memberships.c.user_id).where(memberships.c.room_id == room_id)
    gone = deleted_among(connection, connection.execute(present).scalars())
    heirs = [depart(connection, room_id, user_id) for user_id in sorted(gone)]
    if is_users_own(connection, room_id):
        heirs.append(hand_on(connection, room_id))
    heir = next((one for one in reversed(heirs) if one is not None and one.id not in gone), None)
    return bool(gone) or heir is not None, heir


def is_users_own(connection: Connection, room_id: int) -> bool:
    """Return whether a user created the room, and not the site, whose rooms need no owner."""
    wanted = select(rooms.c.id).where(
        rooms.c.id == room_id, rooms.c.created_by.is_not(None), rooms.c.kind != DIRECT
    )
    return connection.execute(wanted).first() is not None
