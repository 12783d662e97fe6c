"""Rooms: the user's own, the public ones, creating, changing, joining, leaving."""

from __future__ import annotations

from functools import partial
from typing import Any

from ...rooms.access import (
    LOBBY,
    Right,
    check_change,
    check_create,
    check_creation,
    check_leave,
    check_removal,
    check_title,
)
from ...store.history import DIRECT, MEMBER, PRIVATE, PUBLIC, BadRoomName, RoomOf, RoomRow, RoomTaken
from ...wire.errors import ChatError
from . import fields, pages, shapes
from .call import Call
from .pages import RoomCursor

Answer = tuple[Any, int]

#: The most invitations that a list shows; the newest.
MOST_INVITATIONS = 200


def mine(call: Call) -> Answer:
    """A page of the rooms that the user is a member of, the one with the newest message first.

    The first page has the user's invitations too.
    """
    found, text = call.rooms(), call.args.get("after")
    began = max((one.room.last_at for one in found), default=0)
    if text is not None:
        cursor = RoomCursor.read(text)
        began, found = cursor.began, [one for one in found if cursor.continues_with(one)]
    page = pages.fitting([_show(call, one) for one in found])
    following = None
    if len(page) < len(found):
        last = found[len(page) - 1].room
        following = str(RoomCursor(last.last_at, last.id, began))
    waiting = call.history.invitations_of(call.user.id, MOST_INVITATIONS) if text is None else []
    invitations = [shapes.invitation(one) for one in waiting]
    return {"rooms": page, "next": following, "invitations": invitations}, 200


def directory(call: Call) -> Answer:
    """A page of the public rooms, sorted by name."""
    limit = fields.limit(call.args)
    found = call.history.directory(fields.query(call.args), fields.after(call.args), limit + 1)
    page = found[:limit]
    joined = call.history.roles([(row.id, call.user.id) for row in page])
    rooms = pages.fitting(
        [
            shapes.listed(call.displayed(row), row.name == LOBBY or (row.id, call.user.id) in joined)
            for row in page
        ]
    )
    return {"rooms": rooms, "next": page[len(rooms) - 1].name if len(found) > len(rooms) else None}, 200


def create(call: Call) -> Answer:
    """Create a room; its creator becomes the owner."""
    settings = call.chat.settings
    check_create(settings, 0)
    body = call.body()
    kind = fields.kind(body.get("kind"))
    title = fields.title(body.get("title"), kind)
    topic = fields.topic(body.get("topic", ""))
    ephemeral = fields.flag(body.get("ephemeral", False))
    check_title(settings, title)
    rule = partial(check_creation, settings)
    try:
        row = call.history.create_room(title, kind, call.user, topic, ephemeral, rule=rule)
    except RoomTaken:
        raise ChatError("room_taken") from None
    except BadRoomName:
        raise ChatError("bad_title") from None
    call.chat.rooms.push_room_change(call.user.id, row.name, "joined")
    return _view(call, row), 201


def read(call: Call, room: str) -> Answer:
    """One room."""
    return _view(call, call.room(room).row), 200


def change(call: Call, room: str) -> Answer:
    """Change a room's title or topic."""
    row = call.room(room, Right.ADMINISTER).row
    body = call.body()
    title = fields.title(body["title"], row.kind) if "title" in body else None
    topic = fields.topic(body["topic"]) if "topic" in body else None
    if row.kind == PUBLIC and title not in (None, row.title):
        raise ChatError("fixed_title")
    renamed = title if row.kind == PRIVATE and title != row.title else None
    if renamed is not None:
        check_title(call.chat.settings, renamed)
    if renamed is not None or topic not in (None, row.topic):
        changed = call.history.update_room(
            row.id, title=renamed, topic=topic, by=call.user.id, rule=check_change
        )
        row = changed or row
        concerned = {call.user.id} | call.chat.rooms.connected_ids(row.name)
        call.chat.rooms.push_room_changes(concerned, row.name, "updated")
    return _view(call, row), 200


def join(call: Call, room: str) -> Answer:
    """Become a member of a public room."""
    row = call.room(room, Right.ENTER).row
    if row.kind != DIRECT and call.history.join(row.id, call.user):
        call.chat.rooms.push_room_change(call.user.id, row.name, "joined")
    return _view(call, row), 200


def leave(call: Call, room: str) -> Answer:
    """End the user's membership of a room."""
    place = call.room(room)
    check_leave(place.row)
    if place.role is not None:
        rule = partial(check_removal, is_self=True)
        call.chat.rooms.leave(place.row, call.user.id, call.user.id, rule)
    return None, 204


def _view(call: Call, row: RoomRow) -> shapes.Shape:
    """Return a room's current state as a user sees it who may read it."""
    for one in call.history.rooms_of(call.user.id):
        if one.room.id == row.id:
            return _show(call, one)
    peer = call.peer(row.name)
    last = call.history.before(row.id, None, 1)
    role = MEMBER if row.kind == DIRECT else None
    return shapes.room(call.displayed(row), role, peer=peer, last=last[0] if last else None)


def _show(call: Call, one: RoomOf) -> shapes.Shape:
    row = call.displayed(one.room)
    return shapes.room(row, one.role, one.read_seq, one.unread, one.mentions, one.peer, one.last)
