"""A history that ends with its process: the model that tests hold the databases against."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from typing import Any, TypeVar, cast

from ..identity.names import name_key
from ..wire.envelope import Identity, direct_room
from . import terms
from .batch import storable_draft
from .history import (
    DIRECT,
    MEMBER,
    OWNER,
    PUBLIC,
    Draft,
    Membership,
    Message,
    RoomOf,
    RoomRow,
    RoomTaken,
    Stored,
    StoreUnavailable,
)
from .mentions import mentioned
from .models import now_ms
from .naming import check_kind, check_name, new_epoch, private_name

F = TypeVar("F", bound=Callable[..., Any])


def _whole(method: F) -> F:
    """Let one call in at a time, and none while the store is down."""

    @wraps(method)
    def call(self: MemoryHistory, *args: Any, **options: Any) -> Any:
        with self._lock:
            if self.down:
                raise StoreUnavailable("down")
            return method(self, *args, **options)

    return cast(F, call)


class MemoryHistory:
    """A History in this process's memory. `users` are those that direct messages and mentions find by name."""

    def __init__(self, users: Iterable[Identity] = ()) -> None:
        self._lock = threading.RLock()
        self._rooms: dict[int, RoomRow] = {}
        self._changed: dict[int, int] = {}
        self._messages: dict[int, list[Message]] = {}
        self._batches: dict[int, int] = {}
        self._known: dict[tuple[int, str, str], Message] = {}
        self._members: dict[int, dict[str, Membership]] = {}
        self._mentions: set[tuple[str, int, int]] = set()
        self._users: dict[str, Identity] = {}
        self._mark = self._pk = 0
        #: While it is set, every call raises StoreUnavailable.
        self.down = False
        for user in users:
            self.add_user(user)

    def add_user(self, user: Identity) -> None:
        """Let direct messages and mentions find `user`."""
        self._users[name_key(user.username)] = user

    # Messages

    @_whole
    def append(self, drafts: Sequence[Draft], origin: int) -> list[Stored | str]:
        self._mark += 1
        return [self._append(draft, origin) for draft in drafts]

    def _append(self, draft: Draft, origin: int) -> Stored | str:
        draft = storable_draft(draft)
        sender_id = draft.sender.id if draft.sender else ""
        to = None
        if draft.room is not None:
            room = self.room(draft.room)
            if room is None or room.ephemeral:
                return "unknown_room"
        else:
            to = self._receiver(draft)
            if to is None:
                return "unknown_user"
            room = self._direct(draft.sender, to)
        to_id = to.id if to else None
        twin = self._known.get((room.id, sender_id, draft.id))
        if twin is None:
            told = draft._replace(to=to.username if to else None)
            return Stored(self._store(room, told, sender_id, origin), True, to_id)
        same = (twin.type, twin.data) == (draft.type, draft.data)
        return Stored(twin, False, to_id) if same else "id_conflict"

    def _receiver(self, draft: Draft) -> Identity | None:
        if draft.to_id is None:
            return self._users.get(name_key(draft.to or ""))
        return Identity(draft.to_id, draft.to or "")

    def _direct(self, sender: Identity | None, to: Identity) -> RoomRow:
        name = direct_room(sender.id if sender else "", to.id)
        room = self.room(name)
        if room is None:
            room = self._add(name, "", DIRECT, None, "", False)
            for user in filter(None, (sender, to)):
                known = (known for known in self._users.values() if known.id == user.id)
                self.join(room.id, next(known, user))
        return room

    def _store(self, room: RoomRow, draft: Draft, sender_id: str, origin: int) -> Message:
        self._pk += 1
        seq, now = room.last_seq + 1, now_ms()
        message = Message(
            self._pk,
            room.name,
            room.id,
            seq,
            draft.type,
            draft.sender,
            draft.to,
            draft.id,
            draft.data,
            now,
            origin,
        )
        self._messages[room.id].append(message)
        self._batches[self._pk] = self._mark
        self._known[room.id, sender_id, draft.id] = message
        named = mentioned(
            draft.data, lambda keys: {key: self._users[key].id for key in keys if key in self._users}
        )
        self._mentions |= {(user_id, room.id, seq) for user_id in named}
        self._change(room.id, last_seq=seq, last_at=now)
        return message

    def _change(self, room_id: int, **values: Any) -> RoomRow:
        row = self._rooms[room_id] = self._rooms[room_id]._replace(**values)
        self._changed[room_id] = self._mark
        return row

    @_whole
    def changed(self, mark: int | None) -> tuple[int, list[RoomRow]]:
        rows = [] if mark is None else [self._rooms[id] for id, at in self._changed.items() if at >= mark]
        return self._mark + 1, rows

    @_whole
    def new_in(self, room_ids: Sequence[int], mark: int) -> list[Message]:
        return [message for message in self._of(room_ids) if self._batches[message.pk] >= mark]

    def _of(self, room_ids: Iterable[int]) -> list[Message]:
        kept = [message for id in set(room_ids) for message in self._messages.get(id, [])]
        return sorted(kept, key=lambda message: message.pk)

    @_whole
    def after(self, room_id: int, seq: int, limit: int, upto: int | None = None) -> list[Message]:
        wanted = [m for m in self._of([room_id]) if seq < m.seq and (upto is None or m.seq <= upto)]
        return wanted[:limit]

    @_whole
    def before(self, room_id: int, seq: int | None, limit: int) -> list[Message]:
        wanted = [message for message in self._of([room_id]) if seq is None or message.seq < seq]
        return wanted[max(0, len(wanted) - limit) :]

    @_whole
    def newer(self, room_ids: Sequence[int], pk: int, limit: int) -> list[Message]:
        return [message for message in self._of(room_ids) if message.pk > pk][:limit]

    @_whole
    def find(self, room_id: int, seq: int) -> Message | None:
        return next((message for message in self._of([room_id]) if message.seq == seq), None)

    @_whole
    def search(self, text: str, room_ids: Sequence[int], before_pk: int | None, limit: int) -> list[Message]:
        older = (m for m in reversed(self._of(room_ids)) if before_pk is None or m.pk < before_pk)
        return [message for message in older if terms.matches(message.data, text)][:limit]

    @_whole
    def prune(self, room_id: int, before_ms: int) -> int:
        messages = self._messages.get(room_id, [])
        young = next((at for at, message in enumerate(messages) if message.ts >= before_ms), len(messages))
        gone, self._messages[room_id] = messages[:young], messages[young:]
        if gone:
            self._mark += 1
            self._change(room_id, first_seq=gone[-1].seq + 1)
            self._mentions = {row for row in self._mentions if row[1] != room_id or row[2] > gone[-1].seq}
        for message in gone:
            del self._known[room_id, message.user.id if message.user else "", message.id]
        return len(gone)

    @_whole
    def prune_all(self, before_ms: int) -> int:
        return sum(self.prune(room_id, before_ms) for room_id in self._rooms)

    def export(self, room_id: int) -> Iterator[Message]:
        seq = 0
        while chunk := self.after(room_id, seq, 100):
            yield from chunk
            seq = chunk[-1].seq

    # Rooms

    @_whole
    def room(self, name: str) -> RoomRow | None:
        return next((row for row in self._rooms.values() if row.name == name), None)

    @_whole
    def rooms_named(self, names: Iterable[str]) -> dict[str, RoomRow]:
        return {name: row for name in names if (row := self.room(name))}

    @_whole
    def create_room(
        self,
        title: str,
        kind: str,
        creator: Identity | None,
        topic: str = "",
        ephemeral: bool = False,
        name: str | None = None,
    ) -> RoomRow:
        check_kind(kind)
        if name is None:
            name = title if kind == PUBLIC else private_name()
        check_name(name)
        if self.room(name) or (kind == PUBLIC and self._public(name_key(name))):
            raise RoomTaken(name)
        self._mark += 1
        title = name if kind == PUBLIC else title
        row = self._add(name, title, kind, creator.id if creator else None, topic, ephemeral)
        if creator:
            self.join(row.id, creator, OWNER)
        return row

    def _public(self, key: str) -> RoomRow | None:
        rows = self._rooms.values()
        return next((row for row in rows if row.kind == PUBLIC and name_key(row.name) == key), None)

    def _add(
        self, name: str, title: str, kind: str, created_by: str | None, topic: str, ephemeral: bool
    ) -> RoomRow:
        id, now = len(self._rooms) + 1, now_ms()
        row = RoomRow(id, name, title, topic, kind, ephemeral, new_epoch(), 1, 0, now, created_by, now)
        self._rooms[id] = row
        self._changed[id] = self._mark
        self._messages[id], self._members[id] = [], {}
        return row

    @_whole
    def ensure_room(self, name: str, kind: str = PUBLIC) -> RoomRow:
        return self.room(name) or self.create_room(name, kind, None, name=name)

    @_whole
    def update_room(
        self, room_id: int, *, title: str | None = None, topic: str | None = None
    ) -> RoomRow | None:
        row = self._rooms.get(room_id)
        if row is None:
            return None
        values = {"title": None if row.kind == PUBLIC else title, "topic": topic}
        self._mark += 1
        return self._change(room_id, **{key: value for key, value in values.items() if value is not None})

    @_whole
    def directory(self, query: str, after: str | None, limit: int) -> list[RoomRow]:
        public = ((name_key(row.name), row) for row in self._rooms.values() if row.kind == PUBLIC)
        wanted = sorted(pair for pair in public if name_key(query) in pair[0])
        return [row for key, row in wanted if after is None or key > name_key(after)][:limit]

    @_whole
    def count_created(self, user_id: str) -> int:
        return sum(row.created_by == user_id for row in self._rooms.values())

    # Members

    @_whole
    def role(self, room_id: int, user_id: str) -> str | None:
        membership = self._members.get(room_id, {}).get(user_id)
        return membership.role if membership else None

    @_whole
    def roles(self, pairs: Iterable[tuple[int, str]]) -> dict[tuple[int, str], str]:
        return {pair: role for pair in pairs if (role := self.role(*pair))}

    @_whole
    def join(self, room_id: int, user: Identity, role: str = MEMBER) -> bool:
        if room_id not in self._rooms or user.id in self._members[room_id]:
            return False
        self._members[room_id][user.id] = Membership(user, role, self._rooms[room_id].last_seq, now_ms())
        return True

    @_whole
    def set_role(self, room_id: int, user_id: str, role: str) -> bool:
        if self.role(room_id, user_id) is None:
            return False
        members = self._members[room_id]
        members[user_id] = members[user_id]._replace(role=role)
        return True

    @_whole
    def leave(self, room_id: int, user_id: str) -> bool:
        return self._members.get(room_id, {}).pop(user_id, None) is not None

    @_whole
    def members(self, room_id: int, after: str | None, limit: int) -> list[Membership]:
        keyed = ((name_key(m.user.username), m.user.id, m) for m in self._members.get(room_id, {}).values())
        return [row for key, _, row in sorted(keyed) if after is None or key > name_key(after)][:limit]

    @_whole
    def rooms_of(self, user_id: str) -> list[RoomOf]:
        mine = [self._room_of(id, user_id) for id, members in self._members.items() if user_id in members]
        return sorted(mine, key=lambda of: (of.room.last_at, of.room.id), reverse=True)

    def _room_of(self, room_id: int, user_id: str) -> RoomOf:
        row, members = self._rooms[room_id], self._members[room_id]
        others = [member.user for id, member in members.items() if id != user_id]
        if row.name == direct_room(user_id, user_id):
            others = [members[user_id].user]
        peer = others[0] if row.kind == DIRECT and others else None
        unread, mentions = self._unread(room_id, user_id)
        mine = members[user_id]
        last = self.find(room_id, row.last_seq)
        return RoomOf(row, mine.role, mine.read_seq, unread, mentions, peer, last)

    def _unread(self, room_id: int, user_id: str) -> tuple[int, int]:
        row, read = self._rooms[room_id], self._members[room_id][user_id].read_seq
        mentions = sum(
            1 for user, room, seq in self._mentions if (user, room) == (user_id, room_id) and seq > read
        )
        return max(0, row.last_seq - max(read, row.first_seq - 1)), mentions

    @_whole
    def unread(self, user_id: str) -> dict[str, tuple[int, int]]:
        mine = [id for id, members in self._members.items() if user_id in members]
        counts = {self._rooms[id].name: self._unread(id, user_id) for id in mine}
        return {name: count for name, count in counts.items() if any(count)}

    @_whole
    def mark_read(self, room_id: int, user_id: str, seq: int) -> tuple[int, int, int] | None:
        if self.role(room_id, user_id) is None:
            return None
        membership = self._members[room_id][user_id]
        read = max(membership.read_seq, min(seq, self._rooms[room_id].last_seq))
        self._members[room_id][user_id] = membership._replace(read_seq=read)
        return (read, *self._unread(room_id, user_id))

    # The store

    @_whole
    def ping(self) -> None:
        pass
