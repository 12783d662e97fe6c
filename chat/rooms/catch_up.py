"""Reads from the store what peers have stored, so that no message depends on a bus message to arrive."""

from __future__ import annotations

import logging
import time

from ..store.history import DIRECT, History, RoomRow
from .hub import Hub
from .seq_gate import SeqGate
from .stored_delivery import StoredDelivery

log = logging.getLogger("flask_chat")

#: Messages read at once to fill a gap.
CHUNK = 1_000
#: Seconds between two rotations of the conversations' gates; no transaction of the store lasts as long.
ROTATION_INTERVAL = 60.0


class CatchUp:
    """Fills gaps, and compares rooms and conversations with the store. In the background task of the group commit.

    Its methods block, and raise what the store raises.
    """

    def __init__(self, hub: Hub, history: History, delivery: StoredDelivery) -> None:
        self._hub = hub
        self._history = history
        self._delivery = delivery
        self._ask = hub.reactor.call_and_wait
        self._rotated = time.monotonic()

    def open_lobby(self) -> None:
        """Take the store's present mark, and open the lobby at its newest message."""
        lobby = self._hub.lobby
        self._delivery.mark, _ = self._history.changed(None)
        if lobby.gate is not None:
            row = self._history.ensure_room(lobby.name)
            lobby.id, lobby.epoch = row.id, row.epoch
            lobby.gate.open(row.last_seq)

    # ---- what deliveries have shown to be missing ------------------------------------------------------------------

    def read_missing(self) -> None:
        """Open the conversations and fill the gaps that the deliveries since the last call have found."""
        if not self._delivery.has_missing:
            return
        unopened, gaps = self._ask(self._delivery.take_missing)
        if unopened:
            self._open_conversations(unopened)
        for room_id, name in gaps.items():
            self._fill(room_id, name)

    def _open_conversations(self, room_ids: list[int]) -> None:
        # A conversation without a gate had no message here since the mark: all its messages since then are new.
        mark = self._delivery.mark
        assert mark is not None
        self._ask(self._delivery.open_conversations, self._history.new_in(room_ids, mark))

    def _fill(self, room_id: int, name: str) -> None:
        while missing := self._ask(self._delivery.missing, name):
            messages = self._history.after(room_id, missing.start - 1, CHUNK, missing.stop - 1)
            if messages:
                self._hub.stats.late += len(messages)
                self._ask(self._delivery.deliver_all, messages)
            else:
                # Retention may have deleted them.
                log.warning(
                    "room %d: messages %d to %d are not kept", room_id, missing.start, missing.stop - 1
                )
                self._ask(self._delivery.skip, name, missing.stop - 1)

    # ---- the comparison with the store -----------------------------------------------------------------------------

    def compare(self) -> None:
        """Deliver whatever was committed since the mark and has not arrived, and move the mark; once a second."""
        mark, rows = self._history.changed(self._delivery.mark)
        unopened, behind = self._ask(self._find_behind, rows)
        if unopened:
            self._open_conversations(unopened)
        for row, seq in behind:
            self._read_after(row, seq)
        self._ask(self._delivery.deliver_deferred)
        self._delivery.mark = mark
        self._delivery.undelivered.clear()
        if time.monotonic() - self._rotated > ROTATION_INTERVAL:
            self._rotated = time.monotonic()
            self._ask(self._hub.direct.conversations.rotate)

    def _find_behind(self, rows: list[RoomRow]) -> tuple[list[int], list[tuple[RoomRow, int]]]:
        """Return, of the changed rooms, the ids of those to be opened, and the others with the last seq delivered."""
        unopened: list[int] = []
        behind: list[tuple[RoomRow, int]] = []
        for row in rows:
            gate = self._hub.gate(row.name)
            if not self._is_relevant(row, gate):
                continue
            last = gate.last if gate is not None else None
            if last is None:  # a conversation without recent messages, or a room that is being opened
                unopened.append(row.id)
            elif last < row.last_seq:
                behind.append((row, last))
        return unopened, behind

    def _is_relevant(self, row: RoomRow, gate: SeqGate | None) -> bool:
        return self._hub.direct.is_relevant(row.name) if row.kind == DIRECT else gate is not None

    def _read_after(self, row: RoomRow, seq: int) -> None:
        while seq < row.last_seq:
            messages = self._history.after(row.id, seq, CHUNK, row.last_seq)
            if not messages:
                return  # retention has deleted them meanwhile
            self._hub.stats.late += len(messages)
            self._ask(self._delivery.deliver_all, messages)
            seq = messages[-1].seq
