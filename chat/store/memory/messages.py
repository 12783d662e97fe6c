"""Reading, searching and pruning messages in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .. import terms
from ..history import Message, RoomRow
from .tables import MemoryTables, transaction


class MemoryMessages(MemoryTables):
    """The methods of History for messages, but `append`."""

    @transaction
    def changed(self, mark: int | None) -> tuple[int, list[RoomRow]]:
        rows = [] if mark is None else [self._rooms[id] for id, at in self._changed.items() if at >= mark]
        return self._mark + 1, rows

    @transaction
    def new_in(self, room_ids: Sequence[int], mark: int) -> list[Message]:
        return [message for message in self._messages_of(room_ids) if self._batches[message.pk] >= mark]

    @transaction
    def after(self, room_id: int, seq: int, limit: int, upto: int | None = None) -> list[Message]:
        found = [m for m in self._messages_of([room_id]) if seq < m.seq and (upto is None or m.seq <= upto)]
        return found[:limit]

    @transaction
    def before(self, room_id: int, seq: int | None, limit: int) -> list[Message]:
        found = [message for message in self._messages_of([room_id]) if seq is None or message.seq < seq]
        return found[max(0, len(found) - limit) :]

    @transaction
    def newer(self, room_ids: Sequence[int], pk: int, limit: int) -> list[Message]:
        return [message for message in self._messages_of(room_ids) if message.pk > pk][:limit]

    @transaction
    def find(self, room_id: int, seq: int) -> Message | None:
        return next((message for message in self._messages_of([room_id]) if message.seq == seq), None)

    @transaction
    def search(self, text: str, room_ids: Sequence[int], before_pk: int | None, limit: int) -> list[Message]:
        newest_first = reversed(self._messages_of(room_ids))
        older = (message for message in newest_first if before_pk is None or message.pk < before_pk)
        return [message for message in older if terms.matches(message.data, text)][:limit]

    @transaction
    def prune(self, room_id: int, before_ms: int) -> int:
        messages = self._messages.get(room_id, [])
        kept_from = next((at for at, one in enumerate(messages) if one.ts >= before_ms), len(messages))
        gone, self._messages[room_id] = messages[:kept_from], messages[kept_from:]
        if gone:
            self._mark += 1
            self._change_room(room_id, first_seq=gone[-1].seq + 1)
            self._mentions = {row for row in self._mentions if row[1] != room_id or row[2] > gone[-1].seq}
        for message in gone:
            del self._by_id[room_id, message.user.id if message.user else "", message.id]
        return len(gone)

    @transaction
    def prune_all(self, before_ms: int) -> int:
        return sum(self.prune(room_id, before_ms) for room_id in self._rooms)

    def export(self, room_id: int) -> Iterator[Message]:
        seq = 0
        while chunk := self.after(room_id, seq, 100):
            yield from chunk
            seq = chunk[-1].seq
