"""Looking up a user by name, to send a direct message."""

from __future__ import annotations

from typing import Any

from .call import Call


def read(call: Call, username: str) -> tuple[Any, int]:
    """A user, and the name of the direct conversation with that user."""
    user = call.user_named(username)
    return {"id": user.id, "username": user.username, "room": call.direct_room(user)}, 200
