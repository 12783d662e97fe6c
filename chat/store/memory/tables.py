"""The rows of a history in memory, and the operations on them that its parts share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, NamedTuple, TypeVar, cast

from ...identity.names import name_key
from ...wire.envelope import Identity, deleted_user
from ..batch import group_by_key
from ..history import DIRECT, OWNER, Membership, Message, RoomRow, StoreUnavailable
from ..inviting import OPEN_FOR_MS, State
from ..models import now_ms
from ..naming import new_epoch
from ..rows import show_deleted

F = TypeVar("F", bound=Callable[..., Any])


def transaction(method: F) -> F:
    """Make a method run alone, and raise StoreUnavailable while the store is down."""

    @wraps(method)
    def call(self: MemoryTables, *args: Any, **options: Any) -> Any:
        with self._lock:
            if self.down:
                raise StoreUnavailable("down")
            return method(self, *args, **options)

    return cast(F, call)


class StoredInvitation(NamedTuple):
    """A row of the invitations."""

    user: Identity
    inviter: Identity
    role: str
    state: State
    created_at: int
    times: int
    answered_at: int = 0

    def is_open(self, now: int) -> bool:
        """Return whether it waits for an answer."""
        return self.state == State.OPEN and self.created_at > now - OPEN_FOR_MS


class MemoryTables:
    """Rooms, members, messages, mentions and users. Methods without @transaction need the lock held."""

    def __init__(self, users: Iterable[Identity] = ()) -> None:
        self._lock = threading.RLock()
        self._rooms: dict[int, RoomRow] = {}
        #: {room id: {user id: membership}}
        self._members: dict[int, dict[str, Membership]] = {}
        #: {room id: its messages, by seq}
        self._messages: dict[int, list[Message]] = {}
        #: {(room id, sender's id, message id): message}
        self._by_id: dict[tuple[int, str, str], Message] = {}
        #: (user id, room id, seq)
        self._mentions: set[tuple[str, int, int]] = set()
        #: {id: user}
        self._users: dict[str, Identity] = {}
        #: Ids of users whose accounts have ended.
        self._deleted: set[str] = set()
        #: {(room id, user id): invitation}
        self._invitations: dict[tuple[int, str], StoredInvitation] = {}
        #: The number of the last write; the writes that changed each room last and that stored each pk.
        self._mark = 0
        self._changed: dict[int, int] = {}
        self._batches: dict[int, int] = {}
        self._pk = 0
        #: The bytes that one user may store a day, 0 for no limit; {user id: (day, bytes stored on it)}.
        self.store_quota = 0
        self._used: dict[str, tuple[int, int]] = {}
        #: While it is set, every method raises StoreUnavailable.
        self.down = False
        for user in users:
            self.add_user(user)

    def add_user(self, user: Identity) -> None:
        """Let direct messages and mentions find `user`."""
        self._users[user.id] = user

    def _named(self, keys: Iterable[str]) -> dict[str, list[Identity]]:
        """Return {name_key: its users} for those of `keys` that belong to users."""
        wanted = set(keys)
        known = (user for user in self._users.values() if user.id not in self._deleted)
        rows = ((name_key(user.username), *user) for user in known)
        return group_by_key(row for row in rows if row[0] in wanted)

    def _find_room(self, name: str) -> RoomRow | None:
        return next((row for row in self._rooms.values() if row.name == name), None)

    def _add_room(
        self, name: str, title: str, kind: str, created_by: str | None, topic: str, ephemeral: bool
    ) -> RoomRow:
        id, now = len(self._rooms) + 1, now_ms()
        row = RoomRow(id, name, title, topic, kind, ephemeral, new_epoch(), 1, 0, now, created_by, now)
        self._rooms[id] = row
        self._changed[id] = self._mark
        self._messages[id], self._members[id] = [], {}
        return row

    def _change_room(self, room_id: int, **values: Any) -> RoomRow:
        row = self._rooms[room_id] = self._rooms[room_id]._replace(**values)
        self._changed[room_id] = self._mark
        return row

    def _add_member(self, room_id: int, user: Identity, role: str) -> bool:
        if room_id not in self._rooms or user.id in self._members[room_id] or user.id in self._deleted:
            return False
        if self._is_users_own(room_id) and not self._members[room_id]:
            role = OWNER
        self._members[room_id][user.id] = Membership(user, role, self._rooms[room_id].last_seq, now_ms())
        return True

    def _is_users_own(self, room_id: int) -> bool:
        row = self._rooms[room_id]
        return row.created_by is not None and row.kind != DIRECT

    def _shown(self, user: Identity) -> Identity:
        """Return a user as others see it."""
        return deleted_user(user.id) if user.id in self._deleted else user

    def _messages_of(self, room_ids: Iterable[int]) -> list[Message]:
        """Return the messages of rooms, by pk."""
        found = [message for id in set(room_ids) for message in self._messages.get(id, [])]
        shown = [show_deleted(message, self._deleted) for message in found]
        return sorted(shown, key=lambda message: message.pk)
