"""Rooms in memory."""

from __future__ import annotations

from collections.abc import Iterable

from ...identity.names import name_key
from ...identity.reserved import title_key
from ...wire.envelope import Identity
from ...wire.errors import ChatError
from ..history import DIRECT, OWNER, PUBLIC, RoomRow, RoomTaken
from ..naming import check_kind, check_name, private_name
from ..rules import TitleFacts, TitleRule
from .tables import MemoryTables, transaction


class MemoryRooms(MemoryTables):
    """The methods of History for rooms."""

    @transaction
    def room(self, name: str) -> RoomRow | None:
        return self._find_room(name)

    @transaction
    def rooms_named(self, names: Iterable[str]) -> dict[str, RoomRow]:
        return {name: row for name in names if (row := self._find_room(name))}

    @transaction
    def create_room(
        self,
        title: str,
        kind: str,
        creator: Identity | None,
        topic: str = "",
        ephemeral: bool = False,
        name: str | None = None,
        rule: TitleRule | None = None,
    ) -> RoomRow:
        check_kind(kind)
        if name is None:
            name = title if kind == PUBLIC else private_name()
        check_name(name)
        if creator is not None and creator.id in self._deleted:
            raise ChatError("account_deleted")
        if creator is not None and rule is not None:
            taken = self._is_seen_alike(None, name if kind == PUBLIC else title, [creator.id])
            rule(TitleFacts(None, self.count_created(creator.id), taken))
        if self._find_room(name) or (kind == PUBLIC and self._has_public(name_key(name))):
            raise RoomTaken(name)
        self._mark += 1
        title = name if kind == PUBLIC else title
        row = self._add_room(name, title, kind, creator.id if creator else None, topic, ephemeral)
        if creator:
            self._add_member(row.id, creator, OWNER)
        return row

    def _has_public(self, key: str) -> bool:
        return any(row.kind == PUBLIC and name_key(row.name) == key for row in self._rooms.values())

    @transaction
    def ensure_room(self, name: str, kind: str = PUBLIC) -> RoomRow:
        return self._find_room(name) or self.create_room(name, kind, None, name=name)

    @transaction
    def update_room(
        self,
        room_id: int,
        *,
        title: str | None = None,
        topic: str | None = None,
        by: str = "",
        rule: TitleRule | None = None,
    ) -> RoomRow | None:
        row = self._rooms.get(room_id)
        if row is None:
            return None
        if rule is not None:
            members = self._members[room_id]
            taken = title is not None and self._is_seen_alike(room_id, title, members)
            rule(TitleFacts(members[by].role if by in members else None, self.count_created(by), taken))
        given = {"title": None if row.kind == PUBLIC else title, "topic": topic}
        values = {key: value for key, value in given.items() if value not in (None, getattr(row, key))}
        if not values:
            return row
        self._mark += 1
        return self._change_room(room_id, **values)

    def _is_seen_alike(self, room_id: int | None, title: str, user_ids: Iterable[str]) -> bool:
        """Return whether another room that one of these users sees has a title that looks like this one."""
        ids = set(user_ids)
        others = (row for row in self._rooms.values() if row.id != room_id and row.kind != DIRECT)
        alike = (row for row in others if title_key(row.title) == title_key(title))
        return any(row.kind == PUBLIC or ids.intersection(self._members[row.id]) for row in alike)

    @transaction
    def directory(self, query: str, after: str | None, limit: int) -> list[RoomRow]:
        public = ((name_key(row.name), row) for row in self._rooms.values() if row.kind == PUBLIC)
        found = sorted(pair for pair in public if name_key(query) in pair[0])
        return [row for key, row in found if after is None or key > name_key(after)][:limit]

    @transaction
    def count_created(self, user_id: str) -> int:
        return sum(row.created_by == user_id for row in self._rooms.values())
