"""The users of a room, and the changes that are yet to be pushed to its members."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..wire.codec import NATIVE, Codec
from ..wire.envelope import Identity
from ..wire.roster_list import RosterList

#: Least seconds between two pushes.
MIN_INTERVAL = 0.1


class Change(NamedTuple):
    """What a push contains: the users who joined, and the names of those who left."""

    joined: list[Identity]
    left: list[str]


class Roster:
    """The users of one room: of each, the number of connections here and of peers that it is connected to.

    All times are monotonic seconds, supplied by the caller. A user leaves `grace` seconds after its last connection.
    Changes wait for `take_change`; `due_at` puts two pushes at least max(0.1 s, cost of the first / budget) apart.
    Without that, a list to every member at each of N joins would cost O(N³) bytes.
    """

    def __init__(self, room: str, grace: float, bytes_per_s: float) -> None:
        self._room = room
        self._lists: dict[Codec, RosterList] = {NATIVE: NATIVE.make_list(room)}
        self._grace = grace
        self._bytes_per_s = bytes_per_s
        self._users: dict[str, Identity] = {}
        self._sockets: dict[str, int] = {}
        self._peers: dict[str, int] = {}
        self._leaving: dict[str, float] = {}
        self._joined: dict[Identity, None] = {}
        self._left: dict[Identity, None] = {}
        #: When the budget allows the next push.
        self.next_push = 0.0

    def __iter__(self) -> Iterator[Identity]:
        return iter(self._users.values())

    def __len__(self) -> int:
        return len(self._users)

    def __contains__(self, user_id: object) -> bool:
        return user_id in self._users

    def list_for(self, codec: Codec = NATIVE) -> RosterList:
        """Return the list of all users in `codec`; it is kept up to date from now on."""
        users = self._lists.get(codec)
        if users is None:
            users = self._lists[codec] = codec.make_list(self._room)
            users.reset(self._users.values())
        return users

    @property
    def is_used(self) -> bool:
        """Whether a user is connected here, or was within the grace."""
        return bool(self._sockets or self._leaving)

    def local_users(self) -> list[Identity]:
        """Return the users who are connected to this worker."""
        return [self._users[user_id] for user_id in self._sockets]

    def join(self, user: Identity) -> bool:
        """Add a connection of `user`, whose name may have changed; tell whether that changes the roster."""
        count = self._sockets[user.id] = self._sockets.get(user.id, 0) + 1
        return self._add(user) or count == 1

    def leave(self, user: Identity, now: float) -> bool:
        """Remove a connection of `user`, and tell whether it was the last one here; with that the grace begins."""
        count = self._sockets.get(user.id, 0) - 1
        if count > 0:
            self._sockets[user.id] = count
        elif count == 0:
            del self._sockets[user.id]
            self._start_grace(user.id, now)
        return count == 0

    def join_on_peer(self, user: Identity) -> None:
        """Add a peer that `user` is connected to."""
        self._peers[user.id] = self._peers.get(user.id, 0) + 1
        self.rename_on_peer(user)

    def rename_on_peer(self, user: Identity) -> None:
        """Set the name that `user` has on a peer."""
        # The name that a connection here has brought is at least as new.
        if user.id not in self._sockets:
            self._add(user)

    def leave_on_peer(self, user_id: str, now: float, at_once: bool = False) -> None:
        """Remove a peer that a user was connected to; `at_once` where the peer was silent for longer than the grace."""
        count = self._peers.get(user_id, 0) - 1
        if count > 0:
            self._peers[user_id] = count
        elif count == 0:
            del self._peers[user_id]
            if at_once and user_id not in self._sockets and user_id not in self._leaving:
                self._note_left(self._users.pop(user_id))
            else:
                self._start_grace(user_id, now)

    def _add(self, user: Identity) -> bool:
        self._leaving.pop(user.id, None)
        known = self._users.get(user.id)
        if known == user:
            return False
        if known is not None:
            self._note_left(known)
        self._users[user.id] = user
        self._note_joined(user)
        return True

    def _start_grace(self, user_id: str, now: float) -> None:
        if user_id not in self._sockets and user_id not in self._peers:
            self._leaving[user_id] = now + self._grace

    def expire(self, now: float) -> None:
        """Remove the users whose grace is over."""
        while self._leaving:
            user_id, at = next(iter(self._leaving.items()))
            if at > now:
                return
            del self._leaving[user_id]
            self._note_left(self._users.pop(user_id))

    def due_at(self) -> float | None:
        """Return when the next action is due (the end of a grace, a push), or None."""
        times = []
        if self._joined or self._left:
            times.append(self.next_push)
        if self._leaving:
            times.append(next(iter(self._leaving.values())))
        return min(times, default=None)

    def take_change(self, now: float) -> Change | None:
        """Return the changes since the last push, or None if there are none or the budget allows no push yet."""
        if now < self.next_push or not (self._joined or self._left):
            return None
        change = Change(list(self._joined), [user.username for user in self._left])
        self._joined.clear()
        self._left.clear()
        if change.left:
            for users in self._lists.values():
                users.reset(self._users.values())
        return change

    def charge(self, size: int, now: float) -> None:
        """Charge a push of `size` bytes, for all members together, to the budget."""
        self.next_push = now + max(MIN_INTERVAL, size / self._bytes_per_s)

    def _note_joined(self, user: Identity) -> None:
        # A user who left since the last push is still in the lists: only a push removes users from them.
        if user in self._left:
            del self._left[user]
        else:
            for users in self._lists.values():
                users.add(user)
        self._joined[user] = None

    def _note_left(self, user: Identity) -> None:
        # Pushed even if the joining was not pushed yet: lists sent to joining members have contained the user.
        self._joined.pop(user, None)
        self._left[user] = None
