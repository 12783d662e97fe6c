"""Other users, by name: whom to talk to."""

from __future__ import annotations

from typing import Any

from .call import Call


def read(call: Call, username: str) -> tuple[Any, int]:
    """A user, and the name of the conversation with that one."""
    user = call.named(username)
    return {"id": user.id, "username": user.username, "room": call.direct_room(user)}, 200
