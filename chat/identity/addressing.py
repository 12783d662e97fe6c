"""Which user a name means, where names of several users differ only in case or compatible form. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol, TypeVar

from ..wire.envelope import Identity
from .names import name_key


class Ambiguous(NamedTuple):
    """A name that fits several users: sorted by name and id."""

    users: tuple[Identity, ...]


class Named(Protocol):
    """Anything with a user's id and name."""

    @property
    def id(self) -> str: ...
    @property
    def username(self) -> str: ...


U = TypeVar("U", bound=Named)


def choose(name: str, users: Iterable[U]) -> U | Ambiguous | None:
    """Return the one of `users` whom `name` means; they all have its name_key, and the first of each id counts.

    The only user whose name is spelled exactly like `name`, or else the only user. Anything else is ambiguous.
    """
    found: dict[str, U] = {}
    for user in users:
        found.setdefault(user.id, user)
    if not found:
        return None
    fitting = [user for user in found.values() if user.username == name] or list(found.values())
    if len(fitting) == 1:
        return fitting[0]
    identities = sorted((Identity(user.id, user.username) for user in fitting), key=_by_name)
    return Ambiguous(tuple(identities))


def _by_name(user: Identity) -> tuple[str, str]:
    return user.username, user.id


class NameIndex:
    """Users by name, in any case and compatible form. Not thread-safe."""

    def __init__(self) -> None:
        #: {name_key: its user, or its users}. Nearly always one, and a list for each would take 56 bytes more.
        self._users: dict[str, Identity | list[Identity]] = {}

    def find(self, name: str) -> list[Identity]:
        """Return the users whose name has the same name_key as `name`."""
        return self._under(name_key(name))

    def add(self, user: Identity) -> None:
        """Add a user; one who is here with this spelling stays."""
        key = name_key(user.username)
        known = self._under(key)
        if user not in known:
            # The name itself is the key where it can be, which saves the memory of another text.
            self._put(user.username if key == user.username else key, [*known, user])

    def discard(self, user: Identity) -> None:
        """Remove a user with this spelling, if here."""
        key = name_key(user.username)
        self._put(key, [one for one in self._under(key) if one != user])

    def _under(self, key: str) -> list[Identity]:
        users = self._users.get(key)
        return [] if users is None else users if isinstance(users, list) else [users]

    def _put(self, key: str, users: list[Identity]) -> None:
        if users:
            self._users[key] = users if len(users) > 1 else users[0]
        else:
            self._users.pop(key, None)
