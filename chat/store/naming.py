"""What rooms may be called, and what those are called that nobody names. No I/O."""

from __future__ import annotations

import secrets

from ..identity.names import name_key
from .history import DIRECT_PREFIX, PRIVATE, PUBLIC, BadRoomName, RoomTaken

#: Characters of a room's name, as the wire allows them.
MAX_CHARS = 64


def check_name(name: str) -> None:
    """Raise BadRoomName where `name` cannot name a room that people make, RoomTaken for one that begins with `dm:`."""
    # A dot or two would be a way up in a URL.
    if not 0 < len(name) <= MAX_CHARS or not name.isprintable() or "/" in name or name in {".", ".."}:
        raise BadRoomName(name)
    if name != name.strip():
        raise BadRoomName(name)
    if name_key(name).startswith(DIRECT_PREFIX):
        raise RoomTaken(name)


def check_kind(kind: str) -> str:
    """Return `kind` if rooms of it are made by asking; conversations of two come with their first message."""
    if kind not in {PUBLIC, PRIVATE}:
        raise ValueError(f"A room is {PUBLIC} or {PRIVATE}, not {kind!r}.")
    return kind


def private_name() -> str:
    """Return a name that says nothing about its room."""
    return f"p-{secrets.token_urlsafe(9)}"


def new_epoch() -> str:
    """Return a new room's epoch."""
    return secrets.token_urlsafe(6)
