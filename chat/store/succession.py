"""Who becomes the owner of a room that has lost its last one. No I/O; store/departures.py does the same in SQL."""

from __future__ import annotations

from collections.abc import Iterable

from .history import ADMIN, OWNER, Membership

_RANKS = {OWNER: 0, ADMIN: 1}


def successor(remaining: Iterable[Membership]) -> Membership | None:
    """Return the member who becomes owner of a room: the longest-standing admin, else the longest-standing member.

    None where an owner remains, or no member.
    """
    first = min(
        remaining, key=lambda one: (_RANKS.get(one.role, 2), one.joined_at, one.user.id), default=None
    )
    return None if first is None or first.role == OWNER else first
