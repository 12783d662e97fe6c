"""Members of rooms in memory as they are, and what they have read."""

from __future__ import annotations

from collections.abc import Iterable

from ...identity.names import name_key
from ...wire.envelope import direct_room
from ..history import DIRECT, Membership, RoomOf
from ..rows import show_deleted
from .tables import MemoryTables, transaction


class MemoryMembers(MemoryTables):
    """The methods of History for members."""

    @transaction
    def role(self, room_id: int, user_id: str) -> str | None:
        membership = self._members.get(room_id, {}).get(user_id)
        return membership.role if membership else None

    @transaction
    def roles(self, pairs: Iterable[tuple[int, str]]) -> dict[tuple[int, str], str]:
        return {pair: role for pair in pairs if (role := self.role(*pair))}

    @transaction
    def members(
        self, room_id: int, after: str | None, limit: int, after_id: str | None = None
    ) -> list[Membership]:
        keyed = sorted(
            (name_key(m.user.username), m.user.id, m) for m in self._members.get(room_id, {}).values()
        )
        last = None if after is None else name_key(after)

        def is_later(key: str, id: str) -> bool:
            return last is None or key > last or (key == last and after_id is not None and id > after_id)

        page = [row for key, id, row in keyed if is_later(key, id)][:limit]
        return [row._replace(user=self._shown(row.user)) for row in page]

    @transaction
    def rooms_of(self, user_id: str) -> list[RoomOf]:
        mine = [self._room_of(room_id, user_id) for room_id in self._room_ids_of(user_id)]
        return sorted(mine, key=lambda of: (of.room.last_at, of.room.id), reverse=True)

    def _room_ids_of(self, user_id: str) -> list[int]:
        return [room_id for room_id, members in self._members.items() if user_id in members]

    def _room_of(self, room_id: int, user_id: str) -> RoomOf:
        row, members = self._rooms[room_id], self._members[room_id]
        peers = [member.user for id, member in members.items() if id != user_id]
        if row.name == direct_room(user_id, user_id):
            peers = [members[user_id].user]
        peer = peers[0] if row.kind == DIRECT and peers else None
        unread, mentions = self._count_unread(room_id, user_id)
        mine, messages = members[user_id], self._messages[room_id]
        last = show_deleted(messages[-1], self._deleted) if messages else None
        peer = None if peer is None else self._shown(peer)
        return RoomOf(row, mine.role, self._read(room_id, user_id), unread, mentions, peer, last)

    def _read(self, room_id: int, user_id: str) -> int:
        """Return how far the member has read: what the member sent after that is read too."""
        row, read = self._rooms[room_id], self._members[room_id][user_id].read_seq
        later = (message for message in self._messages[room_id] if message.seq > read)
        theirs = (message.seq for message in later if message.user is None or message.user.id != user_id)
        return next(theirs, row.last_seq + 1) - 1 if read < row.last_seq else read

    def _count_unread(self, room_id: int, user_id: str) -> tuple[int, int]:
        row, read = self._rooms[room_id], self._members[room_id][user_id].read_seq
        mentions = sum(
            1 for user, room, seq in self._mentions if (user, room) == (user_id, room_id) and seq > read
        )
        return max(0, row.last_seq - max(self._read(room_id, user_id), row.first_seq - 1)), mentions

    @transaction
    def unread(self, user_id: str) -> dict[str, tuple[int, int]]:
        room_ids = self._room_ids_of(user_id)
        counts = {self._rooms[id].name: self._count_unread(id, user_id) for id in room_ids}
        return {name: count for name, count in counts.items() if any(count)}

    @transaction
    def read_state(self, room_id: int, user_id: str) -> tuple[int, int, int] | None:
        if self.role(room_id, user_id) is None:
            return None
        return (self._read(room_id, user_id), *self._count_unread(room_id, user_id))

    @transaction
    def mark_read(self, room_id: int, user_id: str, seq: int) -> tuple[int, int, int] | None:
        if self.role(room_id, user_id) is None:
            return None
        membership = self._members[room_id][user_id]
        read = max(membership.read_seq, min(seq, self._rooms[room_id].last_seq))
        self._members[room_id][user_id] = membership._replace(read_seq=read)
        return (self._read(room_id, user_id), *self._count_unread(room_id, user_id))
