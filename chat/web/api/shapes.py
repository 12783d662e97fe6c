"""Rooms, members and messages as the API returns them; openapi.json has the same shapes as schemas."""

from __future__ import annotations

from typing import Any

from ...store.history import Message, RoomRow
from ...store.inviting import Invitation
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
    shown = user_json(user)
    assert shown is not None
    return shown | {"role": role, "here": here}


def invitation(row: Invitation) -> Shape:
    """Return an invitation for the user who is invited."""
    return {
        "room": row.room,
        "title": row.title,
        "topic": row.topic,
        "kind": row.kind,
        "inviter": user_json(row.inviter),
        "role": row.role,
        "at": row.created_at,
    }


def sent_invitation(row: Invitation) -> Shape:
    """Return an invitation for those who administer the room."""
    return {
        "user": user_json(row.user),
        "inviter": user_json(row.inviter),
        "role": row.role,
        "at": row.created_at,
    }


def message(row: Message) -> Shape:
    """Return a message with the fields that it has on the wire."""
    shape: Shape = {"type": row.type, "user": user_json(row.user)}
    if row.to is not None:
        shape["to"] = row.to
    return shape | {"data": row.data, "room": row.room, "seq": row.seq, "id": row.id, "ts": row.ts}
