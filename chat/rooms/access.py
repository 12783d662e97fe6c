"""Who may do what in a room: all rules about it, without I/O.

The socket, Socket.IO and the JSON API all apply them. A room that a user may not know of and a room that does not exist
have the same answer, `unknown_room`.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Flag, auto

from ..config import Settings
from ..store.history import ADMIN, DIRECT, MEMBER, OWNER, PUBLIC, Membership, RoomRow
from ..wire.envelope import other_participant
from ..wire.errors import ChatError

#: The room that every user is in.
LOBBY = "lobby"
#: From the lowest to the highest.
ROLES = (MEMBER, ADMIN, OWNER)


class Right(Flag):
    """What a user may do in one room."""

    #: Receive its messages, over a socket or as a member.
    ENTER = auto()
    #: Know that it exists, its members and its messages.
    READ = auto()
    #: Send messages, once in it.
    WRITE = auto()
    #: Change its title and topic, add and remove members.
    ADMINISTER = auto()


NO_RIGHTS = Right(0)
_TAKE_PART = Right.ENTER | Right.READ | Right.WRITE


def rights(room: RoomRow, user_id: str, role: str | None) -> Right:
    """Return what the user of that id may do in `room`; `role` is its role there, None for no member."""
    if room.kind == DIRECT:
        return NO_RIGHTS if other_participant(room.name, user_id) is None else _TAKE_PART
    if role in (OWNER, ADMIN):
        return _TAKE_PART | Right.ADMINISTER
    return _TAKE_PART if room.kind == PUBLIC or role == MEMBER else NO_RIGHTS


def check(room: RoomRow | None, user_id: str, role: str | None, wanted: Right) -> RoomRow:
    """Return `room` to a user who has the `wanted` right there.

    Raises ChatError: `unknown_room` where there is no room (None), or none that this user may know of; `forbidden`
    where the user may know of it and not do that.
    """
    had = NO_RIGHTS if room is None else rights(room, user_id, role)
    if room is None or not had & Right.READ:
        raise ChatError("unknown_room")
    if wanted not in had:
        raise ChatError("forbidden")
    return room


# ---- creating and leaving rooms ------------------------------------------------------------------------------------


def check_create(settings: Settings, created: int) -> None:
    """Raise ChatError `rooms_closed` or `too_many_rooms` unless a user with `created` rooms may create another."""
    if not settings.create_rooms:
        raise ChatError("rooms_closed")
    if created >= settings.max_rooms_created:
        raise ChatError("too_many_rooms")


def check_leave(room: RoomRow) -> None:
    """Raise ChatError `forbidden` for a room that no user can leave: the lobby and direct conversations."""
    if room.name == LOBBY or room.kind == DIRECT:
        raise ChatError("forbidden")


def successor(remaining: Sequence[Membership]) -> Membership | None:
    """Return the member who becomes owner after one has left: the first admin, else the first member.

    None where an owner remains, or no member.
    """
    if any(one.role == OWNER for one in remaining):
        return None
    return min(remaining, key=lambda one: (one.role != ADMIN, one.joined_at, one.user.id), default=None)


# ---- roles -----------------------------------------------------------------------------------------------------


def check_role(mine: str | None, theirs: str | None, wanted: str | None) -> None:
    """Raise ChatError `forbidden` unless a member with the role `mine` may change another's role to `wanted`.

    `theirs` is the other user's role, None for no member; `wanted` is None to remove the member. An owner may do all.
    An admin may add and remove members, but not change admins or owners.
    """
    affected = {role for role in (theirs, wanted) if role is not None}
    if mine == OWNER or (mine == ADMIN and affected <= {MEMBER}):
        return
    raise ChatError("forbidden")


def check_own_role(mine: str, wanted: str) -> None:
    """Raise ChatError `forbidden` for a user who would raise their own role; every user may lower it."""
    if ROLES.index(wanted) > ROLES.index(mine):
        raise ChatError("forbidden")


def check_last_owner(role: str, owners: int) -> None:
    """Raise ChatError `last_owner` where a member who gives up `role` is the only one of `owners` owners."""
    if role == OWNER and owners <= 1:
        raise ChatError("last_owner")
