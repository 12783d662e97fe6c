"""Finds in the store what a client of the chat missed before it resumed.

The memory of recovery.py holds all events of one process for a while. The store holds the messages of the rooms that
keep history, for every process. So it serves a client that was on a process that has ended or is another one, or that
was disconnected for longer than the memory reaches. Either everything that was missed is found, or nothing is sent
and the client starts over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from ..loop.reactor import Reactor
from ..rooms import access
from ..rooms.access import Right
from ..rooms.hub import Hub
from ..rooms.stored_messages import envelope_of
from ..store.history import PRIVATE, History, Message, RoomRow
from ..store.io_values import Ambiguous, ClientPosition, Missed
from . import offsets
from .codec import SocketIOCodec
from .offset_queries import DELIVERED
from .offsets import Offset, RoomPosition, StorePosition
from .recovery import Recovery
from .resumption import Resumption

if TYPE_CHECKING:
    from ..store.io_missed import IoMissed

#: Seconds between two checks of a condition in the loop, and checks after which it is given up.
CHECK_EVERY, CHECKS = 0.02, 200

OpenRooms = Callable[[Iterable[RoomRow], Callable[[], None]], None]


def wait_until(reactor: Reactor, condition: Callable[..., bool], *args: object) -> bool:
    """Check `condition(*args)` in the loop until it holds; False where that takes too long. Outside the loop."""
    for _ in range(CHECKS):
        if reactor.call_and_wait(condition, *args):
            return True
        reactor.driver.sleep(CHECK_EVERY)
    return False


class Replay:
    """Finds and encodes what clients of one process missed. All methods may block, and raise StoreUnavailable."""

    def __init__(
        self,
        hub: Hub,
        recovery: Recovery,
        codec: SocketIOCodec,
        missed: IoMissed,
        history: History,
        open_rooms: OpenRooms,
    ) -> None:
        """`open_rooms` is chat.rooms.joining.Joining.open."""
        self._hub = hub
        self._recovery = recovery
        self._codec = codec
        self._missed = missed
        self._history = history
        self._open_rooms = open_rooms

    # ---- beside the memory ---------------------------------------------------------------------------------------

    def complete(self, resumption: Resumption, offset: Offset | None) -> bool:
        """Add what this process's memory does not hold; False where some of it is gone.

        That is the rest of the messages that a Join was replaying when the client was cut off.
        """
        subscriptions = resumption.subscriptions
        if set(subscriptions.rooms) - {self._hub.lobby.name}:
            self._check_rooms(resumption)
            resumption.ephemeral_rooms = []
        if offset is None or offset.room is None:
            return True
        return self._finish_join(resumption, subscriptions.floors, offset, offset.room)

    def _finish_join(
        self, resumption: Resumption, floors: dict[str, int], offset: Offset, room: RoomPosition
    ) -> bool:
        rows = self._history.rooms_named(floors).values()
        row = next((row for row in rows if row.id == room.room_id), None)
        upto = floors[row.name] - 1 if row is not None else 0
        if row is None or upto <= room.seq:
            return True
        messages = self._history.after(row.id, room.seq, upto - room.seq, upto)
        resumption.replayed = [self._encode_join(message, offset) for message in messages]
        return len(messages) == upto - room.seq

    def _encode_join(self, message: Message, offset: Offset) -> bytes:
        """Encode a message for a client that stays at `offset`, but for this message's room."""
        room = RoomPosition(message.room_id, message.seq)
        store = offsets.unknown(room)
        if offset.store is not None:
            store = offsets.with_room(offset.store.pk, offset.store.mark, room)
            if offset.store.peer_pk:
                store += offsets.peer_suffix(offset.store.peer_pk)
        return self._encode(message, offset, store)

    def _encode(self, message: Message, offset: Offset, store: bytes) -> bytes:
        return self._codec.replay_at(envelope_of(message), offsets.write(offset.origin, offset.number, store))

    # ---- from the store alone ------------------------------------------------------------------------------------

    def find(self, resumption: Resumption, offset: Offset | None) -> bool:
        """Find everything that was missed; False where that is not possible without a gap or a repetition."""
        if self._recovery.cursor.mixed or offset is None or offset.store is None:
            return False
        rows = self._check_rooms(resumption)
        self._hold(resumption, rows)
        rooms = resumption.subscriptions.rooms
        missed = self._find_missed(
            resumption, {row.name: rooms[row.name] for row in rows}, offset, offset.store
        )
        if missed is None or not self._encode_missed(resumption, missed, offset, offset.store):
            return False
        return self._wait_delivered(resumption)

    def _find_missed(
        self, resumption: Resumption, floors: dict[str, int], offset: Offset, store: StorePosition
    ) -> Missed | None:
        user_id, limit, mark = resumption.user_id, self._hub.settings.replay_max, resumption.delivered_mark
        position = ClientPosition(*store)
        find = partial(self._missed.find, user_id, floors, position, limit, delivered_mark=mark)
        found = find()
        if isinstance(found, Ambiguous):
            # The process that wrote the offset knows what it delivered, as long as the client may resume there.
            delivered = self._hub.peers.ask(
                offset.origin, DELIVERED, user_id, resumption.pid, offset.number, found.rooms
            )
            found = find(delivered) if delivered else None
        return found if isinstance(found, Missed) else None

    def _hold(self, resumption: Resumption, rows: list[RoomRow]) -> None:
        """Open the rooms, and have what is sent in them from now on kept for the client."""
        if resumption.held_rooms is not None:
            self._hub.reactor.call_and_wait(self._start_here, resumption)
        else:
            names = tuple(row.name for row in rows)
            self._open_rooms(rows, lambda: self._hold_open(resumption, names))

    def _hold_open(self, resumption: Resumption, rooms: tuple[str, ...]) -> None:
        resumption.held_rooms, resumption.is_counted = rooms, True
        self._recovery.connections += 1
        self._hub.direct.codecs[self._codec] = None
        self._hub.add_absent(resumption.user_id, rooms, self._codec)
        self._start_here(resumption)

    def _start_here(self, resumption: Resumption) -> None:
        resumption.delivered_mark = self._recovery.cursor.delivered_mark
        resumption.start_at(self._recovery.position)

    def _encode_missed(
        self, resumption: Resumption, missed: Missed, offset: Offset, store: StorePosition
    ) -> bool:
        """Encode what was missed; False where it is too much for one client."""
        frames, room = [], store.room
        replayed, mark = store.replayed or (0, missed.mark)
        for message in missed.late:
            room = RoomPosition(message.room_id, message.seq)
            frames.append(self._encode(message, offset, offsets.replayed(store, room, replayed, mark)))
        for message in missed.messages:
            part = offsets.replayed(store, room, message.pk, missed.mark)
            frames.append(self._encode(message, offset, part))
        messages = (*missed.late, *missed.messages)
        resumption.replayed = frames
        resumption.replayed_keys = {(message.room, message.seq) for message in messages}
        resumption.newest_pk = max((message.pk for message in messages), default=0)
        resumption.raise_direct_floors(missed.conversations)
        return sum(map(len, frames)) <= self._hub.settings.outbox_bytes // 2

    def _wait_delivered(self, resumption: Resumption) -> bool:
        """Wait until this process has delivered what was read: of what was just stored, it may not have yet."""
        rooms = resumption.subscriptions.rooms
        newest: dict[str, int] = {}
        for room, seq in resumption.replayed_keys:
            if room in rooms:
                newest[room] = max(newest.get(room, 0), seq)
        return wait_until(self._hub.reactor, self._have_delivered, newest)

    def _have_delivered(self, newest: dict[str, int]) -> bool:
        rooms = ((self._hub.rooms.get(name), seq) for name, seq in newest.items())
        return all(room is not None and room.last_seq >= seq for room, seq in rooms)

    # ---- rooms ---------------------------------------------------------------------------------------------------

    def _check_rooms(self, resumption: Resumption) -> list[RoomRow]:
        """Remove the rooms that the client may not enter any more; return those that are left and keep history."""
        names, is_ephemeral = resumption.subscriptions.rooms, self._hub.settings.is_ephemeral
        user_id = resumption.user_id
        rows = self._history.rooms_named(name for name in names if not is_ephemeral(name))
        pairs = [(row.id, user_id) for row in rows.values() if row.kind == PRIVATE]
        roles = self._history.roles(pairs) if pairs else {}
        for name in names:
            row = rows.get(name)
            if is_ephemeral(name) or (row is not None and row.ephemeral):
                resumption.ephemeral_rooms.append(name)
            if row is not None and Right.ENTER in access.rights(row, user_id, roles.get((row.id, user_id))):
                continue
            if not is_ephemeral(name):
                resumption.lost_rooms.append(name)
        resumption.remove_lost_rooms()
        return [row for row in rows.values() if row.name not in resumption.lost_rooms and not row.ephemeral]
