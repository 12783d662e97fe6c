"""Who may do what in a room: all rules about it, without I/O.

The socket, Socket.IO and the JSON API all apply them. A room that a user may not know of and a room that does not exist
have the same answer, `unknown_room`.
"""

from __future__ import annotations

from enum import Flag, auto

from ..config import Settings
from ..identity.reserved import is_reserved
from ..store.history import ADMIN, DIRECT, MEMBER, OWNER, PUBLIC, RoomRow
from ..store.rules import AcceptanceFacts, InvitationFacts, Standing, TitleFacts
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


def check_creation(settings: Settings, facts: TitleFacts) -> None:
    """Raise ChatError unless a user may create a room: as `check_create`, and `room_taken` for its title."""
    check_create(settings, facts.created)
    if facts.is_taken:
        raise ChatError("room_taken")


def check_change(facts: TitleFacts) -> None:
    """Raise ChatError `forbidden` unless a user may change a room's title or topic, `room_taken` for the title."""
    if facts.mine not in (OWNER, ADMIN):
        raise ChatError("forbidden")
    if facts.is_taken:
        raise ChatError("room_taken")


def check_title(settings: Settings, title: str) -> None:
    """Raise ChatError `reserved_title` for a title that no user may give to a room."""
    if is_reserved(title, settings.reserved_names):
        raise ChatError("reserved_title")


def check_leave(room: RoomRow) -> None:
    """Raise ChatError `forbidden` for a room that no user can leave: the lobby and direct conversations."""
    if room.name == LOBBY or room.kind == DIRECT:
        raise ChatError("forbidden")


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


# ---- rules that the store asks inside its transaction ----------------------------------------------------------


def check_new_role(facts: Standing, wanted: str, is_self: bool) -> None:
    """Raise ChatError unless a member's role may be changed: `unknown_user`, `forbidden`, `last_owner`."""
    if facts.theirs is None:
        raise ChatError("unknown_user")
    if is_self:
        check_own_role(facts.theirs, wanted)
    else:
        check_role(facts.mine, facts.theirs, wanted)
    if wanted != OWNER:
        check_last_owner(facts.theirs, facts.owners)


def check_removal(facts: Standing, is_self: bool) -> None:
    """Raise ChatError unless a member may be removed: `unknown_user`, `forbidden`."""
    if is_self:
        return
    if facts.theirs is None:
        raise ChatError("unknown_user")
    check_role(facts.mine, facts.theirs, None)


def check_invitation(settings: Settings, facts: InvitationFacts, role: str) -> None:
    """Raise ChatError unless a user may invite another: `forbidden`, `invitation_declined`, `too_many_invitations`."""
    check_role(facts.mine, None, role)
    if facts.theirs is not None:
        return
    if facts.has_declined:
        raise ChatError("invitation_declined")
    if facts.open >= settings.invitations_open or facts.recent >= settings.invitations_per_hour:
        raise ChatError("too_many_invitations")


def check_withdrawal(facts: Standing) -> None:
    """Raise ChatError `forbidden` unless a user may withdraw an invitation to the room."""
    check_role(facts.mine, None, MEMBER)


def check_acceptance(facts: AcceptanceFacts) -> None:
    """Raise ChatError unless an invitation still holds: `unknown_invitation`, and `room_taken` for the room's title."""
    try:
        check_role(facts.inviter, None, facts.role)
    except ChatError:
        # Who invited may do so no more.
        raise ChatError("unknown_invitation") from None
    if facts.is_title_taken:
        raise ChatError("room_taken")
