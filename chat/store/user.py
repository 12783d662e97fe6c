"""A row of the users' table. Without SQL, so that importing it does not load SQLAlchemy."""

from __future__ import annotations

from typing import NamedTuple

from ..wire.envelope import Identity


class User(NamedTuple):
    """One row of the users' table."""

    id: str
    username: str
    password_hash: str | None
    tokens_valid_after: int
    banned: bool
    created_at: int
    deleted_at: int | None

    @property
    def identity(self) -> Identity:
        """Return what other users may see of this user."""
        return Identity(self.id, self.username)
