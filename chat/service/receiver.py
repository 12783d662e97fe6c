"""Finding the one user whom a call of the site is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..identity.addressing import Ambiguous
from ..store.user import User
from .errors import AmbiguousUser, UnknownUser

if TYPE_CHECKING:
    from ..store.users import Users


def check_given(username: str | None, user_id: str | None) -> None:
    """Raise TypeError unless a call of the site names its user in exactly one of the two ways."""
    if (username is None) == (user_id is None):
        raise TypeError("Give either a user's name or the id.")


def find_user(users: Users, username: str | None, user_id: str | None = None) -> User:
    """Return the user of that id, or else of that name. Raises UnknownUser, AmbiguousUser, TypeError."""
    check_given(username, user_id)
    if user_id is not None:
        return existing(user_id, users.get(str(user_id)))
    assert username is not None
    return existing(username, users.addressed(username))


def existing(given: str, found: User | Ambiguous | None) -> User:
    """Return what was found under a name or an id. Raises UnknownUser, AmbiguousUser."""
    if isinstance(found, Ambiguous):
        raise AmbiguousUser(given, found.users)
    if found is None:
        raise UnknownUser(given)
    return found
