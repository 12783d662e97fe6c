"""What processes tell each other, as JSON: rows of stored messages and of others. No I/O."""

from __future__ import annotations

from typing import Any

import orjson

from ..store.history import Message
from ..wire.envelope import Envelope, Identity, other_participant

#: The channel of all processes; those of a room, a user and a process begin with a letter.
ALL = "all"


def room_channel(name: str) -> str:
    """Return where it is told what is said in a room, and who comes and goes."""
    return f"r:{name}"


def user_channel(user_id: str) -> str:
    """Return where it is told what is said to a user, and by it, in direct conversations."""
    return f"u:{user_id}"


def process_channel(origin: int) -> str:
    """Return where a process is answered."""
    return f"w:{origin:x}"


def write(kind: str, *parts: Any) -> bytes:
    """Return the payload of a hint."""
    return orjson.dumps((kind, *parts))


def read(payload: bytes) -> tuple[str, list[Any]]:
    """Return the kind of a hint, and its parts; raise ValueError for anything else."""
    hint = orjson.loads(payload)
    if not isinstance(hint, list) or not hint or not isinstance(hint[0], str):
        raise ValueError("not a hint")
    return hint[0], hint[1:]


def message_row(message: Message) -> list[Any]:
    """Return a stored message as a hint holds it: all but who stored it, which its sender is."""
    pk, room, room_id, seq, type, user, to, id, data, ts, _ = message
    return [pk, room, room_id, seq, type, user and tuple(user), to, id, data, ts]


def message_of(row: list[Any], origin: int) -> Message:
    """Return the message of a row."""
    pk, room, room_id, seq, type, user, to, id, data, ts = row
    return Message(pk, room, room_id, seq, type, user and Identity(*user), to, id, data, ts, origin)


def envelope_row(envelope: Envelope) -> list[Any]:
    """Return a message that is stored nowhere."""
    user = envelope.user
    return [
        int(envelope.type),
        envelope.data,
        envelope.room,
        envelope.to,
        envelope.id,
        user and tuple(user),
        envelope.ts,
    ]


def envelope_of(row: list[Any]) -> Envelope:
    """Return the message of such a row."""
    type, data, room, to, id, user, ts = row
    sender = user and Identity(*user)
    envelope = Envelope(type, data, room, to, id, sender, None, ts)
    if to is not None:
        envelope.to_id = other_participant(room, sender.id if sender else "")
    return envelope
