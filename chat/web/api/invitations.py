"""Invitations: those that the user has, answers to them, and those to a room that the user administers."""

from __future__ import annotations

from typing import Any

from ...rooms.access import Right
from ...store.history import RoomRow
from ...wire.errors import ChatError
from . import fields, lines, rooms, shapes
from .call import Call

Answer = tuple[Any, int]


def mine(call: Call) -> Answer:
    """The invitations that wait for the user's answer, the newest first."""
    found = call.history.invitations_of(call.user.id, rooms.MOST_INVITATIONS)
    return {"invitations": [shapes.invitation(one) for one in found]}, 200


def accept(call: Call, room: str) -> Answer:
    """Become a member of the room."""
    row = _invited_to(call, room)
    accepted = call.chat.invitations.accept(row, call.user)
    if accepted.is_fresh:
        call.chat.invitations.say(row, lines.accepted(accepted.inviter, call.user))
    return rooms.read(call, room)


def decline(call: Call, room: str) -> Answer:
    """Decline the invitation."""
    call.chat.invitations.decline(_invited_to(call, room), call.user.id)
    return None, 204


def of_room(call: Call, room: str) -> Answer:
    """The invitations to a room that wait for an answer, the newest first."""
    found = call.history.invitations_to(call.room(room, Right.ADMINISTER).row.id, rooms.MOST_INVITATIONS)
    return {"invitations": [shapes.sent_invitation(one) for one in found]}, 200


def withdraw(call: Call, room: str, user_id: str) -> Answer:
    """Withdraw an invitation."""
    row = call.room(room, Right.ADMINISTER).row
    if not fields.can_be_name(user_id):
        raise ChatError("unknown_invitation")
    call.chat.invitations.withdraw(row, user_id, call.user)
    return None, 204


def _invited_to(call: Call, room: str) -> RoomRow:
    """Return the room of that name. That there is one is told only to those who are invited."""
    row = call.history.room(room)
    if row is None:
        raise ChatError("unknown_invitation")
    return row
