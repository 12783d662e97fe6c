"""The bus messages that processes exchange: their channels, kinds and JSON form. No I/O.

A bus message is a JSON array [kind, *parts]. The sender's number (`origin`) comes from the broker.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from ..store.history import Message
from ..wire.envelope import Envelope, Identity, other_participant

#: The channel of all processes. The channels of a room, a user and a process start with a letter and a colon.
ALL = "all"

#: Stored messages, in the channels of their room or users: parts are rows of `message_row`.
MESSAGES = "m"
#: Messages that are not stored, in the same channels: parts are rows of `envelope_row`.
UNSTORED = "e"
#: A process has written to the control table.
CONTROL = "control"

#: A request to one process or to all: number, what, *arguments. Its response: number, answer.
REQUEST, RESPONSE = "ask", "answer"

#: A process is alive: version of its counts.
HEARTBEAT = "hb"
#: A process has (re)connected to the broker.
GREETING = "hi"
#: A process stops.
LEAVE = "bye"

#: A process's part of a room's roster has changed, in the room's channel: version before, version, users who joined,
#: ids of users who left.
ROSTER_DELTA = "d"
#: The version of a process's part of a room's roster, in the room's channel.
ROSTER_VERSION = "v"
#: A process's part of a room's roster: room, version, users.
ROSTER_SNAPSHOT = "s"
#: Sockets of users and addresses have changed: version before, version, [id, name, sockets], {address: sockets}.
COUNT_DELTA = "n"
#: All sockets of a process: version, [id, name, sockets], {address: sockets}.
COUNT_SNAPSHOT = "n="
#: A request for snapshots: names of rooms, or null for the counts.
SNAPSHOT_REQUEST = "?"
#: The versions that a peer knows, {room: version}: a request for snapshots of the rooms where they are wrong.
KNOWN_VERSIONS = "v?"


def room_channel(name: str) -> str:
    """Return the channel of a room's messages and roster."""
    return f"r:{name}"


def user_channel(user_id: str) -> str:
    """Return the channel of the direct messages to and from a user."""
    return f"u:{user_id}"


def process_channel(origin: int) -> str:
    """Return the channel of messages to one process."""
    return f"w:{origin:x}"


def encode(kind: str, *parts: Any) -> bytes:
    """Return the payload of a bus message."""
    return orjson.dumps((kind, *parts))


def decode(payload: bytes) -> tuple[str, list[Any]]:
    """Return the kind and the parts of a bus message; raise ValueError if it is not one."""
    message = orjson.loads(payload)
    if not isinstance(message, list) or not message or not isinstance(message[0], str):
        raise ValueError("not a bus message")
    return message[0], message[1:]


def message_row(message: Message) -> list[Any]:
    """Return a stored message as a row, without its origin: that is the sender of the bus message."""
    pk, room, room_id, seq, type, user, to, id, data, ts, _ = message
    return [pk, room, room_id, seq, type, user and tuple(user), to, id, data, ts]


def message_of(row: list[Any], origin: int) -> Message:
    """Return the stored message of a row from the process `origin`."""
    pk, room, room_id, seq, type, user, to, id, data, ts = row
    return Message(pk, room, room_id, seq, type, user and Identity(*user), to, id, data, ts, origin)


def envelope_row(envelope: Envelope) -> list[Any]:
    """Return a message that is not stored as a row."""
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
    """Return the message of a row that `envelope_row` made."""
    type, data, room, to, id, user, ts = row
    sender = user and Identity(*user)
    envelope = Envelope(type, data, room, to, id, sender, None, ts)
    if to is not None:
        envelope.to_id = other_participant(room, sender.id if sender else "")
    return envelope


def user_rows(users: Iterable[Identity]) -> list[tuple[str, str]]:
    """Return identities as [id, name] rows."""
    return [(user.id, user.username) for user in users]


def identities(rows: Iterable[list[str]]) -> list[Identity]:
    """Return the identities of such rows."""
    return [Identity(*row) for row in rows]
