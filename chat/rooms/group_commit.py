"""The group commit: all messages that wait are stored in one transaction, then acknowledged and said.

Between commits it looks for what other processes have stored, so that a room hears everything whether or not anybody
told this process of it.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Any

from ..loop.drivers import Driver, allocate_lock
from ..store.history import DIRECT, Draft, History, Message, RoomRow, Stored, StoreUnavailable
from ..wire.envelope import Envelope, MessageType, other_participant
from ..wire.errors import ChatError
from .hub import Hub
from .seq_gate import SeqGate

log = logging.getLogger("chat")

#: Messages that may wait for a store that does not answer; beyond it they are refused at once.
MAX_WAITING = 10_000
#: Messages of one transaction.
MAX_BATCH = 1_000
#: Messages read at once to fill a gap.
CHUNK = 1_000
#: Seconds for which a gap waits for another process's hint before it is read from the store.
GAP_PATIENCE = 0.02
#: Seconds between two turns of the conversations' gates; no transaction of the store lasts as long.
ROTATION_INTERVAL = 60.0

#: Told what became of a message: as it was stored, or the code of an error.
Answer = Callable[[Stored | str], None]
Waiting = tuple[Envelope, bool, Answer | None]


class GroupCommit:
    """Stores what is said and hands it on, in one background run a process.

    `commit(drafts, origin)` is History.append, called where it may block. `said(member, envelope)` is told of each new
    message, in the loop.
    """

    def __init__(
        self,
        hub: Hub,
        driver: Driver,
        history: History,
        commit: Callable[[list[Draft], int], list[Stored | str]],
        said: Callable[[Any, Envelope], None],
    ) -> None:
        self._hub = hub
        self._driver = driver
        self._history = history
        self._commit_now = commit
        self._said = said
        #: Random number of this process: which messages in the store are its own.
        self.origin = secrets.randbits(31)
        self._lock = allocate_lock()
        self._waiting: list[Waiting] = []
        #: Messages ever queued, and those of them that are done with.
        self._put = 0
        self._done = 0
        self._wake = driver.event()
        #: All that was committed before this mark of the store has been delivered here.
        self.mark: int | None = None
        #: pk of the newest of its own messages that was delivered here. It delivers them in the order of pk, but for
        #: those in `held`: they wait until a conversation begins here, or until others' messages before them have come.
        self.last_pk = 0
        self.undelivered: set[int] = set()
        #: The first message of a conversation that begins here, and the direct messages behind it: what is heard out
        #: of the order of pk tells nobody where its hearer stands.
        self._later: list[Envelope] = []
        #: Conversations that begin here, by id, and rooms with a gap, {id: name}: to be read from the store.
        self._silent: set[int] = set()
        self._gaps: dict[int, str] = {}
        self._failing = False
        self._turned = time.monotonic()

    def start(self) -> None:
        """Open the lobby where the store's ends, and serve from now on; it may block."""
        lobby = self._hub.lobby
        self.mark, _ = self._history.changed(None)
        if lobby.gate is not None:
            row = self._history.ensure_room(lobby.name)
            lobby.id, lobby.epoch = row.id, row.epoch
            lobby.gate.open(row.last_seq)
        self._driver.background(self._run)

    @property
    def waiting(self) -> int:
        """Messages that have yet to be stored."""
        return len(self._waiting)

    def put(self, envelope: Envelope, chosen: bool, answer: Answer | None = None) -> None:
        """Queue a message; `chosen` says that its sender chose the id, so that it may be a repeat. From any thread.

        Its sender is acknowledged, or told of an Error, and `answer` called in the loop. Raises ChatError
        `store_unavailable` where too much waits already.
        """
        with self._lock:
            idle = not self._waiting
            if len(self._waiting) >= MAX_WAITING:
                raise ChatError("store_unavailable", envelope.id if chosen else None)
            self._waiting.append((envelope, chosen, answer))
            self._put += 1
        if idle:
            self._wake.set()

    def progress(self) -> Callable[[], bool]:
        """Return what tells whether all that was queued until now has been stored or refused."""
        put = self._put
        return lambda: self._done >= put

    # ---- the background run --------------------------------------------------------------------------------------

    def _run(self) -> None:
        interval = self._hub.settings.compare_interval
        compare_at = time.monotonic() + interval
        while True:
            self._wake.wait(max(0.0, compare_at - time.monotonic()))
            self._wake.clear()
            try:
                self._look_after()
                while self._waiting:
                    self._commit(self._waiting[:MAX_BATCH])
                    self._look_after()
                    if time.monotonic() >= compare_at:
                        break
                if time.monotonic() >= compare_at:
                    compare_at = time.monotonic() + interval
                    self._compare()
                if self._waiting:
                    self._wake.set()
            except Exception as error:
                self._report(error)

    def _commit(self, batch: list[Waiting]) -> None:
        # Rooms are written one after the other: what is stored in that order is heard in it, whoever is in which.
        batch = sorted(batch, key=_place)
        begun = time.monotonic()
        results: list[Stored | str]
        try:
            results = self._commit_now(
                [_draft(envelope, chosen) for envelope, chosen, _ in batch], self.origin
            )
        except Exception as error:
            # A bug in the store is the same to those who wait: nothing of theirs was stored.
            self._report(error)
            results = ["store_unavailable"] * len(batch)
        else:
            self._failing = False
        stats = self._hub.stats
        stats.batches.observe(len(batch))
        stats.commits.observe(time.monotonic() - begun)
        with self._lock:
            del self._waiting[: len(batch)]
        self._hub.reactor.ask(self._deliver, batch, results)

    def _look_after(self) -> None:
        """Read from the store what deliveries have shown to be missing."""
        if not (self._silent or self._gaps):
            return
        silent, gaps = self._hub.reactor.ask(self._take_missing)
        if silent:
            self._begin_rooms(silent)
        for room_id, name in gaps.items():
            self._fill(room_id, name)

    def _report(self, error: Exception) -> None:
        if not isinstance(error, StoreUnavailable):
            log.error("the store failed", exc_info=error)
        elif not self._failing:
            log.error("the store is unavailable: %s", error)
        self._failing = True

    # ---- in the loop ---------------------------------------------------------------------------------------------

    def _take_missing(self) -> tuple[list[int], dict[int, str]]:
        silent, self._silent = list(self._silent), set()
        gaps, self._gaps = self._gaps, {}
        return silent, gaps

    def _deliver(self, batch: list[Waiting], results: list[Stored | str]) -> None:
        """Answer all, say what is new, and tell the other processes."""
        self._done += len(batch)  # here, where nobody in the loop can see it before the Acks are queued
        news: list[Message] = []
        direct = False
        for (envelope, chosen, answer), result in zip(batch, results, strict=True):
            if envelope.type == MessageType.SINGLE_CHAT and not direct:
                direct = True
                self._hub.flush_rooms()
            try:
                if isinstance(result, str):
                    self._refuse(envelope, chosen, result)
                else:
                    self._accept(envelope, result)
                    if result.fresh:
                        news.append(result.message)
                if answer is not None:
                    answer(result)
            except Exception as error:
                # It is stored; one bad connection must not keep it from the others' next messages.
                if envelope.sender is not None:
                    self._hub.reactor.fail(envelope.sender.current, error)
        self._hub.peers.publish_stored(news)

    def _refuse(self, envelope: Envelope, chosen: bool, code: str) -> None:
        if not _is_here(envelope):
            return
        error = ChatError(code, envelope.id if chosen else None)
        error.reply = envelope.reply if isinstance(envelope.reply, int) else None
        self._hub.refuse(envelope.sender.current, error)

    def _accept(self, envelope: Envelope, stored: Stored) -> None:
        message = stored.message
        envelope.room, envelope.seq, envelope.ts, envelope.to = (
            message.room,
            message.seq,
            message.ts,
            message.to,
        )
        envelope.to_id, envelope.stored = stored.to_id, message
        if envelope.sender is not None:
            sender = envelope.sender = envelope.sender.current
            if envelope.reply is not None and _is_here(envelope):
                sender.enqueue(sender.wire.codec.ack(envelope))
        if not stored.fresh:
            return
        self._said(envelope.sender, envelope)
        if message.type == MessageType.SINGLE_CHAT and (self._is_silent(message) or self._later):
            self._later.append(envelope)
            self.undelivered.add(message.pk)
            return
        gate = self._hand_on(envelope)
        self._begins(message, gate)
        if gate is not None and (gate.last is None or gate.last < message.seq):
            # Until it is said, nobody has heard all up to a later pk.
            self.undelivered.add(message.pk)

    def _is_silent(self, message: Message) -> bool:
        """Tell whether a conversation has yet to begin here, and see to it that it does."""
        gate = self._hub.direct.conversations.get(message.room)
        begun = message.seq == 1 if gate is None else gate.last is not None
        if not begun:
            self._silent.add(message.room_id)
            self._wake.set()
        return not begun

    def _say_later(self) -> None:
        later, self._later = self._later, []
        for envelope in later:
            if not self._begins(envelope.stored, self._hand_on(envelope)):
                self.undelivered.discard(envelope.stored.pk)

    def receive(self, messages: Iterable[Message]) -> None:
        """Take messages that another process has stored and tells of; in the loop."""
        for message in messages:
            self._begins(message, self._say(envelope_of(message)))

    def _begins(self, message: Message, gate: SeqGate | None) -> bool:
        """See to what `message` waits for at its gate; tell whether its conversation has yet to begin here."""
        if gate is None:
            return False
        if gate.missing:
            self._suspect(message.room_id, message.room)
        elif gate.last is None and message.type == MessageType.SINGLE_CHAT:
            self._silent.add(message.room_id)
            self._wake.set()
            return True
        return False

    def _suspect(self, room_id: int, name: str) -> None:
        """Read from the store what is missing in a room, unless another process tells of it in time."""
        if self._hub.peers.alone:
            self._fill_soon(room_id, name)
        else:
            self._hub.reactor.call_later(GAP_PATIENCE, self._fill_soon, room_id, name)

    def _fill_soon(self, room_id: int, name: str) -> None:
        if self._missing(name):
            self._gaps[room_id] = name
            self._wake.set()

    def _hand_on(self, envelope: Envelope) -> SeqGate | None:
        if envelope.stored.origin == self.origin:
            self.last_pk = max(self.last_pk, envelope.stored.pk)
        return self._say(envelope)

    def _say(self, envelope: Envelope) -> SeqGate | None:
        hub, name, seq = self._hub, envelope.room, envelope.seq
        assert name is not None and seq is not None
        if envelope.type == MessageType.SINGLE_CHAT:
            # Others may have stored something in it that is yet to come: where it begins here, `changed` must tell.
            gate = hub.direct.conversations.get_or_create(name, 0 if seq == 1 else None)
            hub.direct.deliver(envelope, gate)
            return gate
        room = hub.rooms.get(name)
        if room is None or room.gate is None:
            return None
        room.deliver(envelope)
        return room.gate

    def _hand_on_all(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self._hand_on(envelope_of(message))

    # ---- what others have stored ---------------------------------------------------------------------------------

    def _fill(self, room_id: int, name: str) -> None:
        ask = self._hub.reactor.ask
        while missing := ask(self._missing, name):
            messages = self._history.after(room_id, missing.start - 1, CHUNK, missing.stop - 1)
            if messages:
                self._hub.stats.late += len(messages)
                ask(self._hand_on_all, messages)
            else:
                # Retention may be quicker than we are.
                log.warning(
                    "room %d: messages %d to %d are not kept", room_id, missing.start, missing.stop - 1
                )
                ask(self._skip, name, missing.stop - 1)

    def _missing(self, name: str) -> range:
        gate = self._hub.gate(name)
        return gate.missing if gate is not None else range(0)

    def _skip(self, name: str, last: int) -> None:
        gate, room = self._hub.gate(name), self._hub.rooms.get(name)
        for envelope in gate.open(last) if gate is not None else ():
            if room is not None:
                room.broadcast(envelope)
            else:
                self._hub.direct.send(envelope)

    def _compare(self) -> None:
        mark, rows = self._history.changed(self.mark)
        silent, behind = self._hub.reactor.ask(self._behind, rows)
        if silent:
            self._begin_rooms(silent)
        for row, seq in behind:
            self._catch_up(row, seq)
        self._hub.reactor.ask(self._say_later)
        self.mark = mark
        self.undelivered.clear()
        if time.monotonic() - self._turned > ROTATION_INTERVAL:
            self._turned = time.monotonic()
            self._hub.reactor.ask(self._hub.direct.conversations.rotate)
        self._failing = False

    def _behind(self, rows: list[RoomRow]) -> tuple[list[int], list[tuple[RoomRow, int]]]:
        """Return what is to be heard here: ids of rooms that begin, and other rooms with the last seq that was."""
        hub = self._hub
        silent: list[int] = []
        behind: list[tuple[RoomRow, int]] = []
        for row in rows:
            if row.kind == DIRECT:
                gate = hub.direct.conversations.get(row.name)
                if not hub.direct.is_relevant(row.name):
                    continue
                last = gate.last if gate is not None else None
            else:
                room = hub.rooms.get(row.name)
                if room is None or room.gate is None:
                    continue
                last = room.gate.last
            if last is None:  # a conversation that was silent here, or a room that is being opened
                silent.append(row.id)
            elif last < row.last_seq:
                behind.append((row, last))
        return silent, behind

    def _begin_rooms(self, room_ids: list[int]) -> None:
        """Begin to hear rooms: what was stored since the mark is news in a conversation that was silent here.

        A room that is being opened holds it until it is known whether it was read with the past.
        """
        assert self.mark is not None
        self._hub.reactor.ask(self._begin_with, self._history.new_in(room_ids, self.mark))

    def _begin_with(self, messages: list[Message]) -> None:
        hub = self._hub
        later = {envelope.stored.pk for envelope in self._later}
        for message in messages:
            if message.type == MessageType.SINGLE_CHAT:
                gate = hub.direct.conversations.get_or_create(message.room, None)
                if gate.last is None:
                    for envelope in gate.open(message.seq - 1):
                        hub.direct.send(envelope)
            if message.pk not in later:
                self._hand_on(envelope_of(message))
        self._say_later()
        self.undelivered.difference_update(message.pk for message in messages)

    def _catch_up(self, row: RoomRow, seq: int) -> None:
        while seq < row.last_seq:
            messages = self._history.after(row.id, seq, CHUNK, row.last_seq)
            if not messages:
                return  # pruned meanwhile
            self._hub.stats.late += len(messages)
            self._hub.reactor.ask(self._hand_on_all, messages)
            seq = messages[-1].seq


def _is_here(envelope: Envelope) -> bool:
    """Tell whether the connection that said it is still open, and still the same user's same visit."""
    sender = envelope.sender and envelope.sender.current
    return sender is not None and not sender.closing and sender.user is envelope.user


def _place(waiting: Waiting) -> tuple[bool, str]:
    """Return what a batch is sorted by: room by room, and what goes to single users last."""
    envelope = waiting[0]
    return (True, "") if envelope.type == MessageType.SINGLE_CHAT else (False, envelope.room or "")


def _draft(envelope: Envelope, chosen: bool) -> Draft:
    assert envelope.id is not None and envelope.data is not None
    room = None if envelope.type == MessageType.SINGLE_CHAT else envelope.room
    return Draft(
        int(envelope.type),
        room,
        envelope.user,
        envelope.id,
        chosen,
        envelope.data,
        envelope.to,
        envelope.to_id,
    )


def envelope_of(message: Message) -> Envelope:
    """Return a stored message as the house speaks of it."""
    envelope = Envelope(
        message.type,
        message.data,
        message.room,
        message.to,
        message.id,
        message.user,
        message.seq,
        message.ts,
    )
    envelope.stored = message
    if message.type == MessageType.SINGLE_CHAT:
        envelope.to_id = other_participant(message.room, message.user.id if message.user is not None else "")
    return envelope
