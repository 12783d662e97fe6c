"""Rules for room names, and random names and epochs. No I/O."""

from __future__ import annotations

import secrets

from ..identity.names import name_key
from .history import DIRECT_PREFIX, PRIVATE, PUBLIC, BadRoomName, RoomTaken

#: Characters in a room's name: the limit of the wire protocol.
MAX_CHARS = 64


def check_name(name: str) -> None:
    """Raise BadRoomName if `name` is not valid for a new room, RoomTaken if it starts with the reserved `dm:`."""
    # "." and ".." have a meaning of their own in URLs.
    if not 0 < len(name) <= MAX_CHARS or not name.isprintable() or "/" in name or name in {".", ".."}:
        raise BadRoomName(name)
    if name != name.strip():
        raise BadRoomName(name)
    if name_key(name).startswith(DIRECT_PREFIX):
        raise RoomTaken(name)


def check_kind(kind: str) -> str:
    """Return `kind` if it can be created on request, else raise ValueError. A first message creates a direct room."""
    if kind not in {PUBLIC, PRIVATE}:
        raise ValueError(f"A room is {PUBLIC} or {PRIVATE}, not {kind!r}.")
    return kind


def private_name() -> str:
    """Return a random name."""
    return f"p-{secrets.token_urlsafe(9)}"


def new_epoch() -> str:
    """Return a random epoch."""
    return secrets.token_urlsafe(6)
