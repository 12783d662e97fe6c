"""Delivers stored messages to this worker's clients in the order of seq, whichever process has stored them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..identity.addressing import Ambiguous
from ..identity.guard import now_ms
from ..store.history import DAY_MS, QUOTA_EXCEEDED, Message, Result, Stored
from ..wire.envelope import Envelope, MessageType
from ..wire.errors import ChatError
from .hub import Hub
from .seq_gate import SeqGate
from .stored_messages import envelope_of, fill_in

#: Seconds for which a gap waits for a peer's bus message before it is read from the store.
GAP_PATIENCE = 0.02

#: Called with the result for one message.
Answer = Callable[[Result], None]
#: A message that waits to be stored, whether its sender chose the id, and who is called with the result.
Queued = tuple[Envelope, bool, Answer | None]


class StoredDelivery:
    """Delivers what this process has stored, what peers have published and what was read from the store. In the loop.

    What a gate waits for is noted; `wake()` is called to have it read from the store (catch_up.py).
    """

    def __init__(
        self,
        hub: Hub,
        origin: int,
        on_message: Callable[[Any, Envelope], None],
        wake: Callable[[], None],
    ) -> None:
        self._hub = hub
        self._on_message = on_message
        self._wake = wake
        self.origin = origin
        #: All that was committed before this mark of the store has been delivered here.
        self.mark: int | None = None
        #: pk of the newest own message that was delivered here. Own messages are delivered in the order of pk, except
        #: those in `undelivered`: they wait until a conversation is opened, or for messages of peers before them.
        self.last_pk = 0
        self.undelivered: set[int] = set()
        #: The first message of a conversation that is not opened yet, and all direct messages after it: a message
        #: delivered out of the order of pk does not show how far its receiver has got.
        self._deferred: list[Envelope] = []
        #: Conversations to be opened, by id, and rooms with a gap, {id: name}: to be read from the store.
        self._unopened: set[int] = set()
        self._gaps: dict[int, str] = {}

    # ---- what this process has stored ----------------------------------------------------------------------------

    def deliver_results(self, batch: list[Queued], results: list[Result]) -> None:
        """Answer the senders of a committed batch, deliver its new messages and publish them to peers."""
        fresh: list[Message] = []
        has_direct = False
        for (envelope, chosen, answer), result in zip(batch, results, strict=True):
            if envelope.type == MessageType.SINGLE_CHAT and not has_direct:
                has_direct = True
                self._hub.flush_rooms()
            try:
                if isinstance(result, Stored):
                    self._accept(envelope, result)
                    if result.fresh:
                        fresh.append(result.message)
                else:
                    self._refuse(envelope, chosen, result)
                if answer is not None:
                    answer(result)
            except Exception as error:
                # The message is stored. One broken connection must not stop the delivery of those after it.
                if envelope.sender is not None:
                    self._hub.reactor.fail(envelope.sender.current, error)
        self._hub.peers.publish_stored(fresh)

    def _refuse(self, envelope: Envelope, chosen: bool, result: Ambiguous | str) -> None:
        if not _is_sender_connected(envelope):
            return
        ref = envelope.id if chosen else None
        if isinstance(result, Ambiguous):
            error = ChatError("ambiguous_to", ref, users=result.users)
        else:
            error = ChatError(result, ref, _seconds_to_tomorrow() if result == QUOTA_EXCEEDED else None)
        error.reply = envelope.reply if isinstance(envelope.reply, int) else None
        self._hub.refuse(envelope.sender.current, error)

    def _accept(self, envelope: Envelope, stored: Stored) -> None:
        fill_in(envelope, stored)
        self._acknowledge(envelope)
        if not stored.fresh:
            return
        self._on_message(envelope.sender, envelope)
        message = stored.message
        if message.type == MessageType.SINGLE_CHAT and (self._is_unopened(message) or self._deferred):
            self._deferred.append(envelope)
            self.undelivered.add(message.pk)
            return
        gate = self._deliver(envelope)
        self._note_missing(message, gate)
        if gate is not None and (gate.last is None or gate.last < message.seq):
            # Until the gate lets it through, no client has received everything up to a later pk.
            self.undelivered.add(message.pk)

    def _acknowledge(self, envelope: Envelope) -> None:
        if envelope.sender is None:
            return
        sender = envelope.sender = envelope.sender.current
        if envelope.reply is not None and _is_sender_connected(envelope):
            sender.enqueue(sender.wire.codec.ack(envelope))

    def _is_unopened(self, message: Message) -> bool:
        """Tell whether the conversation of a direct message is yet to be opened here, and have it opened."""
        gate = self._hub.direct.conversations.get(message.room)
        is_open = message.seq == 1 if gate is None else gate.last is not None
        if not is_open:
            self._open_soon(message)
        return not is_open

    def deliver_deferred(self) -> None:
        """Deliver the direct messages that waited for a conversation to be opened."""
        deferred, self._deferred = self._deferred, []
        for envelope in deferred:
            if not self._note_missing(envelope.stored, self._deliver(envelope)):
                self.undelivered.discard(envelope.stored.pk)

    # ---- what peers have stored ----------------------------------------------------------------------------------

    def receive(self, messages: Iterable[Message]) -> None:
        """Deliver messages that a peer has stored and published."""
        for message in messages:
            self._note_missing(message, self._pass_gate(envelope_of(message)))

    def deliver_all(self, messages: Iterable[Message]) -> None:
        """Deliver messages that were read from the store."""
        for message in messages:
            self._deliver(envelope_of(message))

    def open_conversations(self, messages: list[Message]) -> None:
        """Deliver all messages since the mark in conversations that had none here before, and in rooms being opened.

        A room that is being opened holds them until it is known whether they were read with its past.
        """
        deferred = {envelope.stored.pk for envelope in self._deferred}
        for message in messages:
            if message.type == MessageType.SINGLE_CHAT:
                self._open_gate(message)
            if message.pk not in deferred:
                self._deliver(envelope_of(message))
        self.deliver_deferred()
        self.undelivered.difference_update(message.pk for message in messages)

    def _open_gate(self, message: Message) -> None:
        gate = self._hub.direct.conversations.get_or_create(message.room, None)
        if gate.last is None:
            for envelope in gate.open(message.seq - 1):
                self._hub.direct.send(envelope)

    # ---- gates ---------------------------------------------------------------------------------------------------

    def _deliver(self, envelope: Envelope) -> SeqGate | None:
        if envelope.stored.origin == self.origin:
            self.last_pk = max(self.last_pk, envelope.stored.pk)
        return self._pass_gate(envelope)

    def _pass_gate(self, envelope: Envelope) -> SeqGate | None:
        """Deliver a message as soon as its gate allows; return the gate, None where it has no receivers here."""
        hub, name, seq = self._hub, envelope.room, envelope.seq
        assert name is not None and seq is not None
        if envelope.type == MessageType.SINGLE_CHAT:
            # In a conversation that is new here, a peer may have stored earlier messages that are yet to arrive: only
            # the store can tell where it begins.
            gate = hub.direct.conversations.get_or_create(name, 0 if seq == 1 else None)
            hub.direct.deliver(envelope, gate)
            return gate
        room = hub.rooms.get(name)
        if room is None or room.gate is None:
            return None
        room.deliver(envelope)
        return room.gate

    def _note_missing(self, message: Message, gate: SeqGate | None) -> bool:
        """Note what `message` waits for at its gate; tell whether that is the opening of its conversation."""
        if gate is None:
            return False
        if gate.missing:
            self._note_gap(message.room_id, message.room)
        elif gate.last is None and message.type == MessageType.SINGLE_CHAT:
            self._open_soon(message)
            return True
        return False

    def _open_soon(self, message: Message) -> None:
        self._unopened.add(message.room_id)
        self._wake()

    def _note_gap(self, room_id: int, name: str) -> None:
        """Have a gap read from the store, unless a peer's bus message fills it in time."""
        if self._hub.peers.alone:
            self._fill_soon(room_id, name)
        else:
            self._hub.reactor.call_later(GAP_PATIENCE, self._fill_soon, room_id, name)

    def _fill_soon(self, room_id: int, name: str) -> None:
        if self.missing(name):
            self._gaps[room_id] = name
            self._wake()

    @property
    def has_missing(self) -> bool:
        """Whether there is something to be read from the store; from any thread."""
        return bool(self._unopened or self._gaps)

    def take_missing(self) -> tuple[list[int], dict[int, str]]:
        """Return the ids of the conversations to be opened and the rooms with a gap, {id: name}; each of them once."""
        unopened, self._unopened = list(self._unopened), set()
        gaps, self._gaps = self._gaps, {}
        return unopened, gaps

    def missing(self, name: str) -> range:
        """Return the seqs that a room or conversation waits for."""
        gate = self._hub.gate(name)
        return gate.missing if gate is not None else range(0)

    def skip(self, name: str, last: int) -> None:
        """Deliver what waits in a room or conversation after seq `last`, though messages up to it are missing."""
        gate, room = self._hub.gate(name), self._hub.rooms.get(name)
        for envelope in gate.open(last) if gate is not None else ():
            if room is not None:
                room.broadcast(envelope)
            else:
                self._hub.direct.send(envelope)


def _seconds_to_tomorrow() -> float:
    """Return the seconds until the next day (UTC) begins, when a user may store again."""
    return (DAY_MS - now_ms() % DAY_MS) / 1000


def _is_sender_connected(envelope: Envelope) -> bool:
    """Tell whether the connection that sent a message is still open, and still the same user's."""
    sender = envelope.sender and envelope.sender.current
    return sender is not None and not sender.closing and sender.user is envelope.user
