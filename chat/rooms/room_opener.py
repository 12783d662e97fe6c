"""Opens stored rooms on this worker at the store's newest message."""

from __future__ import annotations

from collections.abc import Iterable

from ..store.history import History, RoomRow
from .hub import Hub
from .join_request import JoinRequest
from .room import Room
from .seq_gate import SeqGate
from .stored_messages import envelope_of


class RoomOpener:
    """Opens a room in two steps: with a gate that holds all messages back, then at the last seq that the store has.

    So no message is lost that is stored between the two.
    """

    def __init__(self, hub: Hub, history: History) -> None:
        self._hub = hub
        self._history = history

    def open_closed(self, row: RoomRow) -> Room:
        """Open a room whose gate lets nothing through until `open_gates`; in the loop."""
        room = self._hub.rooms.open(row.name, SeqGate(None))
        room.id, room.epoch = row.id, row.epoch
        return room

    def open_gates(self, rooms: Iterable[Room]) -> None:
        """Read the last seq of these rooms and deliver what comes after it; it blocks."""
        for room in rooms:
            row = self._history.room(room.name)
            last = row.last_seq if row is not None else 0
            self._hub.reactor.call_and_wait(self._open_gate, room, last)

    def _open_gate(self, room: Room, last: int) -> None:
        assert room.gate is not None
        room.broadcast_all(room.gate.open(last))

    def catch_up(self, batch: list[JoinRequest]) -> None:
        """Deliver what joining clients have received from another worker and this one has not; it blocks.

        Otherwise such a client would receive again what it has.
        """
        for room, (row, upto) in self._hub.reactor.call_and_wait(self._find_behind, batch).items():
            messages = self._history.after(row.id, room.last_seq, upto, upto)
            self._hub.reactor.call_and_wait(room.deliver_all, list(map(envelope_of, messages)))

    def _find_behind(self, batch: list[JoinRequest]) -> dict[Room, tuple[RoomRow, int]]:
        """Return the rooms of which a client has received later messages than were delivered here, and up to where."""
        behind: dict[Room, tuple[RoomRow, int]] = {}
        for request in batch:
            room, row = request.room, request.row
            if room is not None and row is not None and room.gate is not None:
                upto = min(request.since or 0, row.last_seq)
                if upto > room.last_seq and upto > behind.get(room, (row, 0))[1]:
                    behind[room] = row, upto
        return behind
