"""Who is where: what each process of the site tells of its users, its rooms and its addresses. In the loop, no I/O.

A process tells what changes, each change with the number of the one before; who has missed one asks for all of it. A
process that is silent for longer than the lease is dead, and so nobody is on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..wire.envelope import Identity


class ForwardedSession:
    """What is known of another process."""

    __slots__ = ("heard", "version", "users", "addresses", "rooms")

    def __init__(self, now: float) -> None:
        #: When it was last heard, in monotonic seconds.
        self.heard = now
        #: Number of the last change of its counts that is known here; None where all has to be asked for.
        self.version: int | None = None
        #: {user's id: (identity, sockets)}
        self.users: dict[str, tuple[Identity, int]] = {}
        self.addresses: dict[str, int] = {}
        #: Who is in a room there, of the rooms that are open here.
        self.rooms: dict[str, RoomThere] = {}


class RoomThere:
    """Who is in one room there, and the number of the last change that is known."""

    __slots__ = ("version", "users")

    def __init__(self) -> None:
        self.version = 0
        self.users: dict[str, Identity] = {}


class Moves(NamedTuple):
    """What is to be changed in a room's roster here."""

    joined: list[Identity]
    left: list[str]
    #: Those who were there already, under another name.
    renamed: Sequence[Identity] = ()


class Presence:
    """The other processes, by their numbers."""

    def __init__(self) -> None:
        self._there: dict[int, ForwardedSession] = {}
        self._sockets: Counter[str] = Counter()
        self._addresses: Counter[str] = Counter()
        self._names: dict[str, Identity] = {}

    def __len__(self) -> int:
        return len(self._there)

    def __contains__(self, origin: object) -> bool:
        return origin in self._there

    def origins(self) -> list[int]:
        """Return the numbers of the processes that are known."""
        return list(self._there)

    def versions(self, origin: int) -> dict[str, int]:
        """Return the number of the last change that is known of each room of a process."""
        there = self._there.get(origin)
        return {name: room.version for name, room in there.rooms.items()} if there is not None else {}

    def hear(self, origin: int, now: float) -> ForwardedSession:
        """Take note that a process lives; it may be a new one."""
        there = self._there.get(origin)
        if there is None:
            there = self._there[origin] = ForwardedSession(now)
        there.heard = now
        return there

    def heard(self, origin: int) -> float | None:
        """Return when a process was last heard, or None where it is not known."""
        there = self._there.get(origin)
        return there.heard if there is not None else None

    def silent_since(self, then: float) -> list[int]:
        """Return the processes that nobody has heard since then."""
        return [origin for origin, there in self._there.items() if there.heard < then]

    def reprieve(self, now: float) -> None:
        """Count everybody's silence from now on: it was we who could not hear."""
        for there in self._there.values():
            there.heard = now

    def forget(self, origin: int) -> dict[str, list[str]]:
        """Forget a process; return {room: ids of the users who were there}."""
        there = self._there.pop(origin, None)
        if there is None:
            return {}
        self._set_counts(
            there, [(user, 0) for user, _ in there.users.values()], dict.fromkeys(there.addresses, 0)
        )
        return {name: list(room.users) for name, room in there.rooms.items()}

    # ---- sockets ---------------------------------------------------------------------------------------------------

    def sockets_of(self, user_id: str) -> int:
        """Return how many sockets a user has there."""
        return self._sockets[user_id]

    def sockets_from(self, address: str) -> int:
        """Return how many come from an address there."""
        return self._addresses[address]

    def named(self, username: str) -> Identity | None:
        """Return who of that name is there, in any case."""
        return self._names.get(username.casefold())

    def count(
        self,
        there: ForwardedSession,
        before: int,
        version: int,
        users: list[tuple[Identity, int]],
        addresses: dict[str, int],
    ) -> bool:
        """Take a change of a process's counts; False where one before it is missing."""
        if there.version != before:
            return False
        there.version = version
        self._set_counts(there, users, addresses)
        return True

    def recount(
        self,
        there: ForwardedSession,
        version: int,
        users: list[tuple[Identity, int]],
        addresses: dict[str, int],
    ) -> None:
        """Take all of a process's counts."""
        gone = there.users.keys() - {user.id for user, _ in users}
        self._set_counts(
            there,
            [*users, *((there.users[user_id][0], 0) for user_id in gone)],
            {**dict.fromkeys(there.addresses, 0), **addresses},
        )
        there.version = version

    def _set_counts(
        self, there: ForwardedSession, users: list[tuple[Identity, int]], addresses: dict[str, int]
    ) -> None:
        for user, count in users:
            known, before = there.users.pop(user.id, (user, 0))
            _add(self._sockets, user.id, count - before)
            if known != user or not self._sockets[user.id]:
                self._forget_name(known)
            if count:
                there.users[user.id] = user, count
                self._names[user.username.casefold()] = user
        for address, count in addresses.items():
            _add(self._addresses, address, count - there.addresses.pop(address, 0))
            if count:
                there.addresses[address] = count

    def _forget_name(self, user: Identity) -> None:
        name = user.username.casefold()
        if name in self._names and self._names[name].id == user.id:  # or it is somebody else's by now
            del self._names[name]

    # ---- rooms -----------------------------------------------------------------------------------------------------

    @staticmethod
    def version_of(there: ForwardedSession, room: str) -> int:
        """Return the number of the last change in a room there that is known."""
        known = there.rooms.get(room)
        return known.version if known is not None else 0

    @staticmethod
    def move(
        there: ForwardedSession,
        room: str,
        before: int,
        version: int,
        joined: Iterable[Identity],
        left: Iterable[str],
    ) -> Moves | None:
        """Take a change of who is in a room there; None where one before it is missing."""
        known = there.rooms.setdefault(room, RoomThere())
        if known.version != before:
            return None
        known.version = version
        came, renamed = _news(known.users, joined)
        known.users.update((user.id, user) for user in (*came, *renamed))
        return Moves(came, [user_id for user_id in left if known.users.pop(user_id, None)], renamed)

    @staticmethod
    def replace(there: ForwardedSession, room: str, version: int, users: Iterable[Identity]) -> Moves:
        """Take all who are in a room there."""
        known = there.rooms.setdefault(room, RoomThere())
        before, known.users = known.users, {user.id: user for user in users}
        known.version = version
        came, renamed = _news(before, known.users.values())
        return Moves(came, [user_id for user_id in before if user_id not in known.users], renamed)

    def close(self, room: str) -> None:
        """Forget who is in a room there: it is open here no more."""
        for there in self._there.values():
            there.rooms.pop(room, None)


def _news(before: dict[str, Identity], now: Iterable[Identity]) -> tuple[list[Identity], list[Identity]]:
    """Return those of `now` who were not there before, and those who had another name."""
    came, renamed = [], []
    for user in now:
        if user.id not in before:
            came.append(user)
        elif before[user.id] != user:
            renamed.append(user)
    return came, renamed


def _add(counter: Counter[str], key: str, number: int) -> None:
    counter[key] += number
    if not counter[key]:
        del counter[key]
