"""Storing messages in memory."""

from __future__ import annotations

from collections.abc import Sequence

from ...identity.addressing import Ambiguous, choose
from ...identity.names import name_key
from ...wire.envelope import DeletedUser, Identity, direct_room
from ..batch import counted_bytes, is_named, storable_draft
from ..history import DAY_MS, DIRECT, MEMBER, QUOTA_EXCEEDED, Draft, Message, Result, RoomRow, Stored
from ..mentions import mentioned
from ..models import now_ms
from .tables import MemoryTables, transaction


class MemoryAppend(MemoryTables):
    """History.append."""

    @transaction
    def append(self, drafts: Sequence[Draft], origin: int) -> list[Result]:
        self._mark += 1
        return [self._append(draft, origin) for draft in drafts]

    def _append(self, draft: Draft, origin: int) -> Result:
        draft = storable_draft(draft)
        sender_id = draft.sender.id if draft.sender else ""
        to = None
        if draft.room is not None:
            room = self._find_room(draft.room)
            if room is None or room.ephemeral:
                return "unknown_room"
        else:
            receiver = self._find_receiver(draft)
            if isinstance(receiver, DeletedUser):
                return "account_deleted"
            if not isinstance(receiver, Identity):
                return receiver or "unknown_user"
            to = receiver
            room = self._ensure_direct_room(draft.sender, to)
        to_id = to.id if to else None
        repeated = self._by_id.get((room.id, sender_id, draft.id))
        if repeated is None:
            if not self._count(draft):
                return QUOTA_EXCEEDED
            named = draft._replace(to=to.username if to else None)
            return Stored(self._store(room, named, sender_id, origin), True, to_id)
        is_same = (repeated.type, repeated.data) == (draft.type, draft.data)
        return Stored(repeated, False, to_id) if is_same else "id_conflict"

    def _count(self, draft: Draft) -> bool:
        """Count a new message against its sender's quota; return False, and count nothing, if it exceeds that."""
        if not self.store_quota or draft.sender is None:
            return True
        id, today = draft.sender.id, now_ms() // DAY_MS
        day, used = self._used.get(id, (today, 0))
        used = counted_bytes(draft.data) + (used if day >= today else 0)
        if used > self.store_quota:
            return False
        self._used[id] = max(day, today), used
        return True

    def _find_receiver(self, draft: Draft) -> Identity | Ambiguous | None:
        if is_named(draft):
            name = draft.to or ""
            key = name_key(name)
            return choose(name, (*self._named([key]).get(key, ()), *draft.connected))
        assert draft.to_id is not None
        if draft.to is not None:
            return Identity(draft.to_id, draft.to)
        known = self._users.get(draft.to_id)
        return None if known is None else self._shown(known)

    def _ensure_direct_room(self, sender: Identity | None, to: Identity) -> RoomRow:
        name = direct_room(sender.id if sender else "", to.id)
        room = self._find_room(name)
        if room is None:
            room = self._add_room(name, "", DIRECT, None, "", False)
            for user in filter(None, (sender, to)):
                self._add_member(room.id, self._users.get(user.id, user), MEMBER)
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
        self._by_id[room.id, sender_id, draft.id] = message
        user_ids = mentioned(draft.data, self._named)
        self._mentions |= {(user_id, room.id, seq) for user_id in user_ids}
        self._change_room(room.id, last_seq=seq, last_at=now)
        return message
