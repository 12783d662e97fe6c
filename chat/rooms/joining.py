"""Coming into rooms: who may, what was missed, and from where on a client hears what is said.

All who wait are served together: rooms, rights and missed messages are read once for all of them. A client is put on
the room's list of newcomers first, then what it missed is read, and what comes twice is dropped by seq.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from ..config import Settings
from ..loop.drivers import Driver, allocate_lock
from ..store.history import PRIVATE, History, RoomRow, StoreUnavailable
from ..wire.codec import Codec
from ..wire.envelope import DIRECT, Envelope, MessageType, participants
from ..wire.errors import ChatError
from . import access
from .access import Right
from .hub import Hub
from .member import Member
from .room import JoinBuffer, Room
from .seq_gate import SeqGate
from .stored_messages import envelope_of

log = logging.getLogger("chat")

#: Clients served together.
MAX_BATCH = 500


class Arrival:
    """One client on its way into one room."""

    __slots__ = (
        "member",
        "envelope",
        "room",
        "row",
        "newcomer",
        "upto",
        "missed",
        "recovered",
        "answered",
        "left",
    )

    def __init__(self, member: Member, envelope: Envelope) -> None:
        self.member = member
        self.envelope = envelope
        self.room: Room | None = None
        self.row: RoomRow | None = None
        self.newcomer: JoinBuffer | None = None
        #: What it missed ends with this seq; what comes after it hears as the others do.
        self.upto = 0
        self.missed: list[Envelope] = []
        self.recovered = True
        self.answered = False
        #: It has left the room, or lost the right to it, before it was in.
        self.left = False

    @property
    def name(self) -> str:
        assert self.envelope.room is not None
        return self.envelope.room

    @property
    def since(self) -> int | None:
        return self.envelope.seq

    def judge(self, row: RoomRow, last_seq: int, replay_max: int) -> bool:
        """Tell whether there is something to be read for it; note where too much, or the wrong thing, was missed."""
        if self.since is None:
            return False
        epoch = self.envelope.data
        self.recovered = (
            (epoch is None or epoch == row.epoch)
            and row.first_seq - 1 <= self.since <= max(self.upto, last_seq)
            and self.upto - self.since <= replay_max
        )
        return self.recovered and self.since < self.upto


class Opening:
    """Stored rooms that are to be open, for clients who do not come by a Join."""

    def __init__(self, rows: Iterable[RoomRow], opened: Callable[[], None], done: Any) -> None:
        self.rows = rows
        self.opened = opened
        self.done = done
        self.error: Exception | None = None


class Joining:
    """Lets clients into rooms, in one background run a process.

    `note(comings)` is told, where it may block, of each (member, room's name, seq from which on it hears it) before it
    is in.
    """

    def __init__(
        self,
        hub: Hub,
        driver: Driver,
        history: History,
        note: Callable[[list[tuple[Member, str, int]]], None] = lambda comings: None,
    ) -> None:
        self._hub = hub
        self._settings: Settings = hub.settings
        self._driver = driver
        self._history = history
        self._note = note
        self._openings: list[Opening] = []
        self._lock = allocate_lock()
        self._waiting: list[Arrival] = []
        self._serving: list[Arrival] = []
        self._wake = driver.event()

    def start(self) -> None:
        """Serve from now on."""
        self._driver.background(self._run)

    def put(self, member: Member, envelope: Envelope) -> None:
        """Let `member` into the room that a Join names, as soon as may be; in the loop. Raises ChatError."""
        # Those that came at once are counted as they come in: `_finish`.
        if self._is_full(member) and envelope.room not in member.rooms:
            raise ChatError("too_many_rooms", envelope.id)
        with self._lock:
            idle = not self._waiting
            self._waiting.append(Arrival(member, envelope))
        if idle:
            self._wake.set()

    def _is_full(self, member: Member) -> bool:
        return len(member.rooms) >= self._settings.max_rooms_per_client

    def cancel(self, member: Member, name: str) -> bool:
        """Let no Join that is under way bring `member` into the room `name`; False where there is none. In the loop."""
        with self._lock:
            under_way = [
                arrival
                for arrival in (*self._waiting, *self._serving)
                if arrival.member.current is member and arrival.name == name and not arrival.answered
            ]
        for arrival in under_way:
            arrival.left = arrival.answered = True
        return bool(under_way)

    def open_rooms(self, rows: Iterable[RoomRow], opened: Callable[[], None]) -> None:
        """Open the rooms that are not; `opened` runs in the loop in the same moment. It blocks: not from a tick."""
        opening = Opening(rows, opened, self._driver.one_shot_event())
        with self._lock:
            self._openings.append(opening)
        self._wake.set()
        opening.done.wait(None)
        if opening.error is not None:
            raise opening.error

    def _run(self) -> None:
        while True:
            self._wake.wait(None)
            self._wake.clear()
            self._open_all()
            while batch := self._take():
                try:
                    self._serve(batch)
                except Exception as error:
                    log.error("joins failed", exc_info=error)
                self._open_all()

    def _take(self) -> list[Arrival]:
        """Return who is next; a client's second Join of the same room waits for the first to be over."""
        batch: dict[tuple[Member, str], Arrival] = {}
        again = []
        with self._lock:
            for arrival in self._waiting[:MAX_BATCH]:
                arrival.member = arrival.member.current
                if batch.setdefault((arrival.member, arrival.name), arrival) is not arrival:
                    again.append(arrival)
            self._waiting[:MAX_BATCH] = again
            self._serving = list(batch.values())
        return self._serving

    def _serve(self, batch: list[Arrival]) -> None:
        # Two turns: a store that fails keeps nobody from rooms that need none.
        ephemeral = [arrival for arrival in batch if self._is_ephemeral(arrival.name)]
        stored = [arrival for arrival in batch if not self._is_ephemeral(arrival.name)]
        for some in (ephemeral, stored):
            if some:
                self._serve_some(some)

    def _serve_some(self, batch: list[Arrival]) -> None:
        ask = self._hub.reactor.ask
        try:
            allowed = self._check(batch)
            self._begin_rooms(ask(self._enter, allowed))
            self._catch_up(ask(self._ahead, allowed))
            self._read(ask(self._expect, allowed))
            self._note([(one.member, one.name, one.upto + 1) for one in allowed if one.newcomer is not None])
            ask(self._finish, allowed)
        except Exception as error:
            if isinstance(error, StoreUnavailable):
                log.error("nobody can join a room: the store is unavailable: %s", error)
            else:
                log.error("joins failed", exc_info=error)
            ask(self._give_up, batch)

    # ---- who may ---------------------------------------------------------------------------------------------------

    def _check(self, batch: list[Arrival]) -> list[Arrival]:
        names = {arrival.name for arrival in batch if not self._is_ephemeral(arrival.name)}
        rows = self._history.rooms_named(names) if names else {}
        pairs = {
            (rows[arrival.name].id, _user_id(arrival))
            for arrival in batch
            if arrival.name in rows and rows[arrival.name].kind == PRIVATE
        }
        roles = self._history.roles(pairs) if pairs else {}
        allowed: list[Arrival] = []
        refused: list[Arrival] = []
        for arrival in batch:
            arrival.row = row = rows.get(arrival.name)
            role = roles.get((row.id, _user_id(arrival))) if row is not None else None
            (allowed if self._may_enter(arrival, role) else refused).append(arrival)
        if refused:
            self._hub.reactor.ask(self._refuse, refused, "unknown_room")
        return allowed

    def _may_enter(self, arrival: Arrival, role: str | None) -> bool:
        if self._is_ephemeral(arrival.name) and not arrival.name.startswith(DIRECT):
            return True
        if arrival.row is None:
            # A conversation in which nothing has been said yet has no row.
            return _user_id(arrival) in (participants(arrival.name) or ())
        return Right.ENTER in access.rights(arrival.row, _user_id(arrival), role)

    def _is_ephemeral(self, name: str) -> bool:
        return self._settings.is_ephemeral(name)

    def _refuse(self, batch: list[Arrival], code: str) -> None:
        for arrival in batch:
            member = arrival.member.current
            if not member.closing and not arrival.answered:
                self._hub.refuse(member, _error(code, arrival.envelope))
            arrival.answered = True

    def _give_up(self, batch: list[Arrival]) -> None:
        for arrival in batch:
            arrival.member = arrival.member.current
            self._forget(arrival)
        self._refuse(batch, "store_unavailable")

    # ---- rooms -----------------------------------------------------------------------------------------------------

    def _enter(self, batch: list[Arrival]) -> list[Room]:
        """Open the rooms that are not, and put their newcomers on the list; return those whose seq must be read."""
        fresh = []
        for arrival in batch:
            arrival.member = arrival.member.current
            if arrival.member.closing or arrival.left or arrival.name.startswith(DIRECT):
                continue
            room, row = self._hub.rooms.get(arrival.name), arrival.row
            if room is None and row is not None and not row.ephemeral:
                fresh.append(room := self._open(row))
            arrival.room = room = room or self._hub.rooms.open(arrival.name, None)
            if arrival.member not in room:
                arrival.newcomer = self._hub.rooms.start_joining(arrival.member, room)
        return fresh

    def _open(self, row: RoomRow) -> Room:
        room = self._hub.rooms.open(row.name, SeqGate(None))
        room.id, room.epoch = row.id, row.epoch
        return room

    def _open_all(self) -> None:
        with self._lock:
            openings, self._openings = self._openings, []
        for opening in openings:
            try:
                self._begin_rooms(self._hub.reactor.ask(self._open_rows, opening))
            except Exception as error:
                opening.error = error
            finally:
                opening.done.set()

    def _open_rows(self, opening: Opening) -> list[Room]:
        fresh = [self._open(row) for row in opening.rows if self._hub.rooms.get(row.name) is None]
        opening.opened()
        return fresh

    def _begin_rooms(self, rooms: Iterable[Room]) -> None:
        # Only now that whatever is stored from here on will be held for them: where does each stand?
        for room in rooms:
            row = self._history.room(room.name)
            last = row.last_seq if row is not None else 0
            self._hub.reactor.ask(self._open_gate, room, last)

    def _open_gate(self, room: Room, last: int) -> None:
        assert room.gate is not None
        room.broadcast_all(room.gate.open(last))

    def _ahead(self, batch: list[Arrival]) -> dict[Room, tuple[RoomRow, int]]:
        """Return the rooms of which somebody has heard more elsewhere than was heard here, and up to where."""
        ahead: dict[Room, tuple[RoomRow, int]] = {}
        for arrival in batch:
            room, row = arrival.room, arrival.row
            if room is not None and row is not None and room.gate is not None:
                upto = min(arrival.since or 0, row.last_seq)
                if upto > room.last_seq and upto > ahead.get(room, (row, 0))[1]:
                    ahead[room] = row, upto
        return ahead

    def _catch_up(self, ahead: dict[Room, tuple[RoomRow, int]]) -> None:
        # Or who comes from another process would hear again what it has.
        for room, (row, upto) in ahead.items():
            messages = self._history.after(row.id, room.last_seq, upto, upto)
            self._hub.reactor.ask(room.deliver_all, list(map(envelope_of, messages)))

    # ---- what was missed -------------------------------------------------------------------------------------------

    def _expect(self, batch: list[Arrival]) -> dict[str, list[Arrival]]:
        """Settle for each where its past ends; return those for whom something is to be read, by room."""
        wanted: dict[str, list[Arrival]] = {}
        for arrival in batch:
            arrival.member = arrival.member.current
            if arrival.member.closing or arrival.left:
                continue
            if self._settle(arrival):
                wanted.setdefault(arrival.name, []).append(arrival)
        return wanted

    def _settle(self, arrival: Arrival) -> bool:
        row, room = arrival.row, arrival.room
        if room is None:
            return self._settle_direct(arrival)
        if room.gate is None or row is None:
            arrival.recovered = arrival.since is None
            return False
        if arrival.newcomer is not None:
            arrival.newcomer.reset()
            arrival.upto = room.last_seq
        else:
            arrival.upto = self._heard_since(arrival.member, room)
        return arrival.judge(row, room.last_seq, self._settings.replay_max)

    def _heard_since(self, member: Member, room: Room) -> int:
        if room is self._hub.lobby:
            return member.entered
        return (member.floors or {}).get(room.name, room.last_seq + 1) - 1

    def _settle_direct(self, arrival: Arrival) -> bool:
        row, member = arrival.row, arrival.member
        last = arrival.upto = row.last_seq if row is not None else 0
        if arrival.since is None:
            return False
        if member.floors is None:
            member.floors = {}
        # What comes now is heard live, unless some of it was already: then from there on.
        arrival.upto = member.floors.setdefault(arrival.name, last + 1) - 1
        if row is None:
            arrival.recovered = not arrival.since
            return False
        return arrival.judge(row, last, self._settings.replay_max)

    def _read(self, wanted: dict[str, list[Arrival]]) -> None:
        for arrivals in wanted.values():
            row = arrivals[0].row
            assert row is not None
            since = min(arrival.since or 0 for arrival in arrivals)
            upto = max(arrival.upto for arrival in arrivals)
            messages = [
                (one.seq, envelope_of(one)) for one in self._history.after(row.id, since, upto - since, upto)
            ]
            for arrival in arrivals:
                assert arrival.since is not None
                arrival.missed = [one for seq, one in messages if arrival.since < seq <= arrival.upto]
                # Retention may have taken some away meanwhile.
                if len(arrival.missed) != arrival.upto - arrival.since:
                    arrival.recovered, arrival.missed = False, []

    # ---- in --------------------------------------------------------------------------------------------------------

    def _finish(self, batch: list[Arrival]) -> None:
        replays = Replays()
        for arrival in batch:
            member = arrival.member = arrival.member.current
            if member.closing or arrival.left:
                self._forget(arrival)
                continue
            if arrival.newcomer is not None and self._is_full(member):
                self._forget(arrival)
                self._refuse([arrival], "too_many_rooms")
                continue
            arrival.answered = True
            try:
                self._let_in(arrival, replays)
            except Exception as error:
                self._hub.reactor.fail(member, error)

    def _forget(self, arrival: Arrival) -> None:
        if arrival.room is not None:
            self._hub.rooms.stop_joining(arrival.member, arrival.room)
            self._hub.rooms.close_if_empty(arrival.room)

    def _let_in(self, arrival: Arrival, replays: Replays) -> None:
        member, room, newcomer = arrival.member, arrival.room, arrival.newcomer
        if newcomer is not None and newcomer.overflowed and room is not None:
            arrival.recovered, arrival.upto = arrival.since is None, room.last_seq
            newcomer.reset()
        missed = replays.frames(member.wire.codec, arrival.missed)
        # What is too much for an outbox is too much for a client.
        if sum(map(len, missed)) > self._settings.outbox_bytes // 2:
            arrival.recovered = False
        for frame in missed if arrival.recovered else ():
            member.enqueue(frame)
        member.enqueue(self._synced(arrival))
        if newcomer is None or room is None:
            return
        self._hub.rooms.stop_joining(member, room)
        for frame in replays.frames(member.wire.codec, newcomer.messages):
            member.enqueue(frame)
        self._hub.rooms.join(member, room, arrival.upto)
        self._hub.rooms.send_roster(member, room)

    def _synced(self, arrival: Arrival) -> bytes:
        room, row, envelope = arrival.room, arrival.row, arrival.envelope
        fields: dict[str, Any] = {"room": arrival.name}
        if room is None:
            fields["seq"] = row.last_seq if row is not None else 0
        elif room.gate is not None:
            fields["seq"] = room.last_seq if arrival.newcomer is None else arrival.upto
        fields["epoch"] = row.epoch if row is not None else ""
        fields["recovered"] = arrival.recovered
        codec = arrival.member.wire.codec
        return codec.notice(MessageType.SYNCED, fields, envelope.id, _reply(envelope))


class Replays:
    """What several clients are told now that others heard earlier: each message is encoded once for each codec."""

    def __init__(self) -> None:
        self._frames: dict[tuple[Codec, Envelope], bytes] = {}

    def frames(self, codec: Codec, envelopes: Iterable[Envelope]) -> list[bytes]:
        """Return the frames of these messages."""
        return [self._frame(codec, envelope) for envelope in envelopes]

    def _frame(self, codec: Codec, envelope: Envelope) -> bytes:
        frame = self._frames.get((codec, envelope))
        if frame is None:
            frame = self._frames[codec, envelope] = codec.replay(envelope)
        return frame


def _reply(envelope: Envelope) -> int | None:
    """Return what the answer must refer to besides the id: Socket.IO's number of the request."""
    return envelope.reply if isinstance(envelope.reply, int) else None


def _user_id(arrival: Arrival) -> str:
    assert arrival.member.user is not None
    return arrival.member.user.id


def _error(code: str, envelope: Envelope) -> ChatError:
    error = ChatError(code, envelope.id)
    error.reply = _reply(envelope)
    return error
