"""Rooms, members and messages as the API returns them; openapi.json has the same shapes as schemas."""

from __future__ import annotations

from typing import Any

from ...store.history import Message, RoomRow
from ...wire.envelope import Identity
from ...wire.messages import user_json

Shape = dict[str, Any]


def room(
    row: RoomRow,
    role: str | None = None,
    read_seq: int = 0,
    unread: int = 0,
    mentions: int = 0,
    peer: Identity | None = None,
    last: Message | None = None,
) -> Shape:
    """Return a room for a user who may read it. `role` and what follows it are those of a member."""
    return {
        "name": row.name,
        "title": row.title,
        "topic": row.topic,
        "kind": row.kind,
        "ephemeral": row.ephemeral,
        "epoch": row.epoch,
        "first_seq": row.first_seq,
        "last_seq": row.last_seq,
        "last_at": row.last_at,
        "role": role,
        "read_seq": read_seq,
        "unread": unread,
        "mentions": mentions,
        "peer": user_json(peer),
        "last": None if last is None else message(last),
    }


def listed(row: RoomRow, joined: bool) -> Shape:
    """Return a public room as an entry of the directory."""
    return {
        "name": row.name,
        "title": row.title,
        "topic": row.topic,
        "kind": row.kind,
        "ephemeral": row.ephemeral,
        "last_at": row.last_at,
        "joined": joined,
    }


def member(user: Identity, role: str, here: bool) -> Shape:
    """Return one member; `here` is whether the user is connected to the room now."""
    return {"id": user.id, "username": user.username, "role": role, "here": here}


def message(row: Message) -> Shape:
    """Return a message with the fields that it has on the wire."""
    shape: Shape = {"type": row.type, "user": user_json(row.user)}
    if row.to is not None:
        shape["to"] = row.to
    return shape | {"data": row.data, "room": row.room, "seq": row.seq, "id": row.id, "ts": row.ts}
