"""What the service raises for a name that does not exist."""

from __future__ import annotations


class UnknownUser(LookupError):
    """The chat knows no user of that name."""


class UnknownRoom(LookupError):
    """There is no room of that name; `create_room` creates one."""
