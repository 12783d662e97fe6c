"""Who is in a room: users, not sockets; changes are gathered, and paid for from a budget."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..wire.codec import NATIVE, Codec
from ..wire.envelope import Identity
from ..wire.roster_list import RosterList

#: Seconds between two pushes at the least.
MIN_INTERVAL = 0.1


class Change(NamedTuple):
    """What a push has to tell: who came, and the names of those who went."""

    joined: list[Identity]
    left: list[str]


class Roster:
    """The users of one room, each counted by its sockets here and by the other processes that it is on.

    All times are monotonic seconds, given by the caller. A user leaves `grace` seconds after the last socket. Changes
    wait for `take_change`, which `due_at` puts at least max(0.1 s, what the last push cost / budget) after the one
    before: everyone's list to everyone at each join would be O(N³) bytes.
    """

    def __init__(self, room: str, grace: float, bytes_per_s: float) -> None:
        self._room = room
        self._lists: dict[Codec, RosterList] = {NATIVE: NATIVE.make_list(room)}
        self._grace = grace
        self._bytes_per_s = bytes_per_s
        self._users: dict[str, Identity] = {}
        self._sockets: dict[str, int] = {}
        self._elsewhere: dict[str, int] = {}
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
        """Return the list of all users in `codec`; it is kept up to date from then on."""
        users = self._lists.get(codec)
        if users is None:
            users = self._lists[codec] = codec.make_list(self._room)
            users.reset(self._users.values())
        return users

    @property
    def is_used(self) -> bool:
        """Whether one of its users is here, or went a moment ago."""
        return bool(self._sockets or self._leaving)

    def local_users(self) -> list[Identity]:
        """Return the users who have sockets here."""
        return [self._users[user_id] for user_id in self._sockets]

    def join(self, user: Identity) -> bool:
        """Count one more socket of `user`, whose name may be another than before; tell whether that is news."""
        count = self._sockets[user.id] = self._sockets.get(user.id, 0) + 1
        return self._show(user) or count == 1

    def leave(self, user: Identity, now: float) -> bool:
        """Count one socket of `user` less, and tell whether it was the last; with that the grace begins."""
        count = self._sockets.get(user.id, 0) - 1
        if count > 0:
            self._sockets[user.id] = count
        elif count == 0:
            del self._sockets[user.id]
            self._begin_to_leave(user.id, now)
        return count == 0

    def join_on_peer(self, user: Identity) -> None:
        """Count one more process that `user` is on."""
        self._elsewhere[user.id] = self._elsewhere.get(user.id, 0) + 1
        self.rename_on_peer(user)

    def rename_on_peer(self, user: Identity) -> None:
        """Take note what `user` is called on another process."""
        # What is known of its own sockets is no older.
        if user.id not in self._sockets:
            self._show(user)

    def leave_on_peer(self, user_id: str, now: float, at_once: bool = False) -> None:
        """Count one of them less; `at_once` where it has been silent for longer than any grace."""
        count = self._elsewhere.get(user_id, 0) - 1
        if count > 0:
            self._elsewhere[user_id] = count
        elif count == 0:
            del self._elsewhere[user_id]
            if at_once and user_id not in self._sockets and user_id not in self._leaving:
                self._note_left(self._users.pop(user_id))
            else:
                self._begin_to_leave(user_id, now)

    def _show(self, user: Identity) -> bool:
        self._leaving.pop(user.id, None)
        known = self._users.get(user.id)
        if known == user:
            return False
        if known is not None:
            self._note_left(known)
        self._users[user.id] = user
        self._note_joined(user)
        return True

    def _begin_to_leave(self, user_id: str, now: float) -> None:
        if user_id not in self._sockets and user_id not in self._elsewhere:
            self._leaving[user_id] = now + self._grace

    def expire(self, now: float) -> None:
        """Drop the users whose grace is over."""
        while self._leaving:
            user_id, at = next(iter(self._leaving.items()))
            if at > now:
                return
            del self._leaving[user_id]
            self._note_left(self._users.pop(user_id))

    def due_at(self) -> float | None:
        """Return when something is next to be done (a grace to end, a change to push), or None."""
        times = []
        if self._joined or self._left:
            times.append(self.next_push)
        if self._leaving:
            times.append(next(iter(self._leaving.values())))
        return min(times, default=None)

    def take_change(self, now: float) -> Change | None:
        """Return what changed since the last push, if there is something and the budget allows a push by now."""
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
        """Charge a push of `size` bytes, all members together: it says when the next one may be."""
        self.next_push = now + max(MIN_INTERVAL, size / self._bytes_per_s)

    def _note_joined(self, user: Identity) -> None:
        # One who left since the last push is still in the list, which only a push cleans.
        if user in self._left:
            del self._left[user]
        else:
            for users in self._lists.values():
                users.add(user)
        self._joined[user] = None

    def _note_left(self, user: Identity) -> None:
        # Told even where nobody heard of the coming yet: newcomers' lists have shown it.
        self._joined.pop(user, None)
        self._left[user] = None
