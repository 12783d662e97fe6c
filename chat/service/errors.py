"""What the service raises for a name that does not exist, or that fits several users."""

from __future__ import annotations

from ..wire.envelope import Identity


class UnknownUser(LookupError):
    """The chat knows no user of that name or id."""


class AmbiguousUser(LookupError):
    """The names of several users differ from the given one in case or form only: `users`. The id tells them apart."""

    def __init__(self, username: str, users: tuple[Identity, ...]) -> None:
        shown = ", ".join(f"{user.username!r} (id {user.id})" for user in users)
        super().__init__(f"The name {username!r} fits {len(users)} users: {shown}. Give the id instead.")
        self.users = users


class UnknownRoom(LookupError):
    """There is no room of that name; `create_room` creates one."""
