"""The members of a room: listing, adding, changing roles, removing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...rooms.access import Right, check, check_last_owner, check_leave, check_own_role, check_role, successor
from ...store.history import DIRECT, MEMBER, OWNER, History, Membership, RoomRow
from ...wire.envelope import Identity
from ...wire.errors import ChatError
from . import fields, pages, shapes
from .call import NO_ID, Call, RoomAndRole

Answer = tuple[Any, int]

#: Members per query when all of them are read.
CHUNK = 500


def listing(call: Call, room: str) -> Answer:
    """A page of the members of a room, sorted by name."""
    row = call.room(room).row
    limit, (after, after_id) = fields.limit(call.args), fields.after_member(call.args)
    found = call.history.members(row.id, after, limit + 1, after_id)
    connected = call.chat.rooms.connected_ids(row.name)
    users = [(one.user, one.role) for one in found[:limit]]
    if row.id == NO_ID and after is None:
        users = [(user, MEMBER) for user in _participants(call, row)]
    members = pages.fitting([shapes.member(user, role, user.id in connected) for user, role in users])
    return {
        "members": members,
        "next": fields.member_cursor(users[len(members) - 1][0]) if len(found) > len(members) else None,
    }, 200


def _participants(call: Call, row: RoomRow) -> list[Identity]:
    both = {user.id: user for user in (call.user, call.peer(row.name)) if user is not None}
    return sorted(both.values(), key=lambda user: user.username)


def add(call: Call, room: str) -> Answer:
    """Add a user, given by id or name, as a member. A user who is a member already keeps the role."""
    row, mine = call.room(room, Right.ADMINISTER)
    body = call.body()
    id, role = body.get("id"), fields.role(body.get("role", MEMBER))
    if id is None:
        user = call.user_named(fields.username(body.get("username")))
    else:
        user = call.user_of_id(fields.username(id))
    check_role(mine, None, role)
    fresh = call.history.join(row.id, user, role)
    if fresh:
        call.chat.rooms.push_room_change(user.id, row.name, "joined")
    else:
        role = call.history.role(row.id, user.id) or role
    return shapes.member(
        user, role, user.id in call.chat.rooms.connected_ids(row.name)
    ), 201 if fresh else 200


def give_role(call: Call, room: str, user_id: str) -> Answer:
    """Change a member's role, or lower one's own."""
    place = call.room(room)
    theirs = _role_of_target(call, place, user_id)
    wanted = fields.role(call.body().get("role"))
    if user_id == call.user.id:
        check_own_role(theirs, wanted)
    else:
        check_role(place.role, theirs, wanted)
    if theirs == OWNER != wanted:
        check_last_owner(theirs, sum(one.role == OWNER for one in everyone(call.history, place.row.id)))
    if wanted != theirs and call.history.set_role(place.row.id, user_id, wanted):
        call.chat.rooms.push_room_change(user_id, place.row.name, "updated")
    return {"id": user_id, "role": wanted}, 200


def remove(call: Call, room: str, user_id: str) -> Answer:
    """Remove a member, or leave the room."""
    place = call.room(room)
    theirs = _role_of_target(call, place, user_id)
    if user_id == call.user.id:
        check_leave(place.row)
    else:
        check_role(place.role, theirs, None)
    end_membership(call, place.row, user_id, theirs)
    return None, 204


def _role_of_target(call: Call, place: RoomAndRole, user_id: str) -> str:
    """Return the role of the member that a request is about. Only administrators may change other members."""
    row, mine = place
    if user_id != call.user.id or row.kind == DIRECT:
        check(row, call.user.id, mine, Right.ADMINISTER)
        mine = call.history.role(row.id, user_id) if fields.can_be_name(user_id) else None
    if mine is None:
        raise ChatError("unknown_user")
    return mine


def end_membership(call: Call, row: RoomRow, user_id: str, role: str) -> None:
    """End the membership of a user with that role. A room whose last owner leaves gets another owner."""
    if not call.history.leave(row.id, user_id):
        return
    if role == OWNER and (next_owner := successor(list(everyone(call.history, row.id)))) is not None:
        call.history.set_role(row.id, next_owner.user.id, OWNER)
        call.chat.rooms.push_room_change(next_owner.user.id, row.name, "updated")
    call.chat.rooms.push_room_change(user_id, row.name, "left")
    call.chat.rooms.unsubscribe_user(user_id, row.name)


def everyone(history: History, room_id: int) -> Iterator[Membership]:
    """Yield all members of a room by name."""
    after = id = None
    while page := history.members(room_id, after, CHUNK, id):
        yield from page
        id, after = page[-1].user
