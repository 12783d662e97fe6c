"""Between envelopes and the store: what a message is stored as, and a stored message as an envelope."""

from __future__ import annotations

from ..store.history import Draft, Message, Stored
from ..wire.envelope import Envelope, MessageType, other_participant


def draft_of(envelope: Envelope, chosen: bool) -> Draft:
    """Return what the store is to append; `chosen` says that the sender chose the id, so that it may be a repeat."""
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
        envelope.connected,
    )


def fill_in(envelope: Envelope, stored: Stored) -> None:
    """Add to `envelope` what the store has given its message: room, seq, time and receiver."""
    message = stored.message
    envelope.room, envelope.seq, envelope.ts, envelope.to = message.room, message.seq, message.ts, message.to
    envelope.to_id, envelope.stored = stored.to_id, message


def envelope_of(message: Message) -> Envelope:
    """Return a stored message as an envelope."""
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
