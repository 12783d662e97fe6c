"""Conversion of table rows to the values of a history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, func, literal, literal_column, select

from ..wire.envelope import Identity
from .history import Message, RoomRow
from .models import messages, now_ms, rooms

ROOM_COLUMNS = tuple(rooms.c[name] for name in RoomRow._fields)
#: The columns of `to_message`, in its order.
MESSAGE_COLUMNS = (
    messages.c.pk,
    rooms.c.name,
    messages.c.room_id,
    messages.c.seq,
    messages.c.type,
    messages.c.sender_id,
    messages.c.sender_name,
    messages.c.to_name,
    messages.c.id,
    messages.c.data,
    messages.c.ts,
    messages.c.origin,
)


def select_messages() -> Select[Any]:
    """Return a query for all messages, to be narrowed down, whose rows `to_message` converts."""
    return select(*MESSAGE_COLUMNS).join_from(messages, rooms, rooms.c.id == messages.c.room_id)


def to_message(row: Sequence[Any]) -> Message:
    """Convert a row of MESSAGE_COLUMNS."""
    pk, room, room_id, seq, type, sender_id, sender_name, to, id, data, ts, origin = row
    user = Identity(sender_id, sender_name) if sender_id else None
    return Message(pk, room, room_id, seq, type, user, to, id, data, ts, origin)


def fetch_messages(connection: Connection, query: Select[Any]) -> list[Message]:
    """Return the messages found by a query made from `select_messages`."""
    return [to_message(row) for row in connection.execute(query)]


def fetch_rooms(connection: Connection, query: Select[Any]) -> list[RoomRow]:
    """Return the rooms found by a query for ROOM_COLUMNS."""
    return [to_room(row) for row in connection.execute(query)]


def to_room(row: Sequence[Any]) -> RoomRow:
    """Convert a row of ROOM_COLUMNS."""
    return RoomRow(*row)


def clock_ms(connection: Connection) -> Any:
    """Return the SQL expression of the time in ms by one clock for all processes: PostgreSQL's, or this machine's."""
    if connection.dialect.name == "postgresql":
        return literal_column("(extract(epoch FROM clock_timestamp()) * 1000)::bigint")
    return literal(now_ms())


def transaction_number(connection: Connection) -> Any:
    """Return the SQL expression that a write transaction stores in chat_rooms.changed."""
    if connection.dialect.name == "postgresql":
        return literal_column("pg_current_xact_id()::text::bigint")
    return select(func.max(rooms.c.changed) + 1).scalar_subquery()
