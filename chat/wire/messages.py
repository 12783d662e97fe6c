"""Server messages of the native wire, as JSON. Socket.IO events carry the same fields."""

from __future__ import annotations

from typing import Any

import orjson

from .envelope import DeletedUser, Envelope, Identity
from .errors import ChatError

#: The original server's greeting.
WELCOME = "欢迎欢迎,热烈欢迎,进入聊天室"


def user_json(user: Identity | None) -> dict[str, Any] | None:
    """Return the user as other users see it, `{id, username}`, or None for the sender of a system message.

    A deleted account has `deleted`: true too.
    """
    if user is None:
        return None
    id, username = user
    shown: dict[str, Any] = {"id": id, "username": username}
    return shown | {"deleted": True} if isinstance(user, DeletedUser) else shown


def chat_json(envelope: Envelope) -> bytes:
    """Return a group or direct message (types 2 and 3) as JSON, without `seq` where its room gives none."""
    message: dict[str, Any] = {"type": envelope.type, "user": user_json(envelope.user)}
    if envelope.to is not None:
        message["to"] = envelope.to
    message["data"] = envelope.data
    message["room"] = envelope.room
    if envelope.seq is not None:
        message["seq"] = envelope.seq
    message["id"] = envelope.id
    message["ts"] = envelope.ts
    return orjson.dumps(message)


def error_message(error: ChatError, language: str) -> dict[str, Any]:
    """Return the fields of an Error (type 0); `retry_after` in seconds."""
    message: dict[str, Any] = {
        "type": 0,
        "user": None,
        "data": error.failure.sentence(language),
        "code": error.code,
    }
    if error.ref is not None:
        message["ref"] = error.ref
    if error.retry_after is not None:
        message["retry_after"] = round(error.retry_after, 3)
    if error.users:
        message["users"] = [user_json(user) for user in error.users]
    return message
