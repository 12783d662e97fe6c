"""Who may do what in a room: every rule about it stands here, without I/O.

The socket, Socket.IO and the JSON API all ask here. A room of which one may know nothing and a room that does not exist
are answered with the same words, `unknown_room`.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Flag, auto

from ..config import Settings
from ..store.history import ADMIN, DIRECT, MEMBER, OWNER, PUBLIC, Membership, RoomRow
from ..wire.envelope import other_participant
from ..wire.errors import ChatError

#: The room that everybody is in.
LOBBY = "lobby"
#: From the least to the most.
ROLES = (MEMBER, ADMIN, OWNER)


class Right(Flag):
    """What a user may do in one room."""

    #: Hear what is said there, by a socket or as a member.
    ENTER = auto()
    #: Know that it exists, who is in it, and what was said.
    READ = auto()
    #: Say something, once inside.
    WRITE = auto()
    #: Change its title and topic, take members in and put them out.
    ADMINISTER = auto()


NOTHING = Right(0)
_TAKE_PART = Right.ENTER | Right.READ | Right.WRITE


def rights(room: RoomRow, user_id: str, role: str | None) -> Right:
    """Return what the user of that id may do in `room`; `role` is the one there, None for no member."""
    if room.kind == DIRECT:
        return NOTHING if other_participant(room.name, user_id) is None else _TAKE_PART
    if role in (OWNER, ADMIN):
        return _TAKE_PART | Right.ADMINISTER
    return _TAKE_PART if room.kind == PUBLIC or role == MEMBER else NOTHING


def check(room: RoomRow | None, user_id: str, role: str | None, wanted: Right) -> RoomRow:
    """Return `room` to a user who has the `wanted` right there.

    Raises ChatError: `unknown_room` where there is no room (None), or none that this user may know of; `forbidden`
    where the user may know of it and not do that.
    """
    had = NOTHING if room is None else rights(room, user_id, role)
    if room is None or not had & Right.READ:
        raise ChatError("unknown_room")
    if wanted not in had:
        raise ChatError("forbidden")
    return room


# ---- rooms come and go -----------------------------------------------------------------------------------------


def check_create(settings: Settings, made: int) -> None:
    """Raise ChatError unless a user who has made `made` rooms may make another: `rooms_closed`, `too_many_rooms`."""
    if not settings.create_rooms:
        raise ChatError("rooms_closed")
    if made >= settings.max_rooms_created:
        raise ChatError("too_many_rooms")


def check_leave(room: RoomRow) -> None:
    """Raise ChatError `forbidden` for a room that nobody can leave: the lobby, and a conversation of two."""
    if room.name == LOBBY or room.kind == DIRECT:
        raise ChatError("forbidden")


def successor(left: Sequence[Membership]) -> Membership | None:
    """Return who of the members that are left becomes the owner: the first admin, else the first member; None where an
    owner is left, or nobody.
    """
    if any(one.role == OWNER for one in left):
        return None
    return min(left, key=lambda one: (one.role != ADMIN, one.joined_at, one.user.id), default=None)


# ---- roles -----------------------------------------------------------------------------------------------------


def check_role(mine: str | None, theirs: str | None, wanted: str | None) -> None:
    """Raise ChatError `forbidden` unless a member with the role `mine` may make somebody's role `wanted`.

    `theirs` is the role that the other one has, None for no member yet; `wanted` None puts the other one out. An owner
    may do all; an admin takes members in and puts them out, and has no say about admins and owners.
    """
    touched = {role for role in (theirs, wanted) if role is not None}
    if mine == OWNER or (mine == ADMIN and touched <= {MEMBER}):
        return
    raise ChatError("forbidden")


def check_own_role(mine: str, wanted: str) -> None:
    """Raise ChatError `forbidden` for a user who would raise the own role; anybody may lower it."""
    if ROLES.index(wanted) > ROLES.index(mine):
        raise ChatError("forbidden")


def check_last_owner(role: str, owners: int) -> None:
    """Raise ChatError `last_owner` where one with `role` is to lose it and is the only owner of `owners`."""
    if role == OWNER and owners <= 1:
        raise ChatError("last_owner")
