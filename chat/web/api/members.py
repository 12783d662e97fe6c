"""The members of a room: listing, adding, changing roles, removing."""

from __future__ import annotations

from functools import partial
from typing import Any

from ...rooms.access import Right, check, check_leave, check_new_role, check_removal, check_role
from ...store.history import DIRECT, MEMBER, RoomRow
from ...store.rules import Standing
from ...wire.envelope import Identity
from ...wire.errors import ChatError
from . import fields, lines, pages, shapes
from .call import NO_ID, Call, RoomAndRole

Answer = tuple[Any, int]


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
    """Invite a user, given by id or name, or add the user at once (CHAT_INVITATIONS); a member keeps the role."""
    row, mine = call.room(room, Right.ADMINISTER)
    body = call.body()
    user, role = _user_to_add(call, body), fields.role(body.get("role", MEMBER))
    check_role(mine, None, role)
    here = user.id in call.chat.rooms.connected_ids(row.name)
    invitations = call.chat.invitations
    if not invitations.ask:
        added = invitations.add(row, call.user, user, role)
        return shapes.member(user, added.role, here), 201 if added.is_fresh else 200
    line = lines.invited(call.user, user)
    invited = invitations.invite(row, call.user, user, role, line)
    shape = shapes.member(user, invited.role, here)
    return (shape, 200) if invited.is_member else (shape | {"invited": True}, 202)


def _user_to_add(call: Call, body: dict[str, Any]) -> Identity:
    given = {key: fields.username(body[key]) for key in ("id", "username") if key in body}
    if "id" in given:
        return call.user_of_id(given["id"])
    return call.user_named(fields.username(given.get("username")))


def give_role(call: Call, room: str, user_id: str) -> Answer:
    """Change a member's role, or lower one's own."""
    place = call.room(room)
    theirs = _role_of_target(call, place, user_id)
    wanted = fields.role(call.body().get("role"))
    rule = partial(check_new_role, wanted=wanted, is_self=user_id == call.user.id)
    if wanted == theirs:
        rule(Standing(place.role, theirs, 1))  # nothing is written where nothing changes
    elif call.history.set_role(place.row.id, user_id, wanted, call.user.id, rule):
        call.chat.rooms.push_room_change(user_id, place.row.name, "updated")
    return {"id": user_id, "role": wanted}, 200


def remove(call: Call, room: str, user_id: str) -> Answer:
    """Remove a member, or leave the room."""
    place = call.room(room)
    _role_of_target(call, place, user_id)
    if user_id == call.user.id:
        check_leave(place.row)
    rule = partial(check_removal, is_self=user_id == call.user.id)
    call.chat.rooms.leave(place.row, user_id, call.user.id, rule)
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
