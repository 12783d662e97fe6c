"""Conversion of table rows to the values of a history."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Select, func, literal, literal_column, select

from ..wire.envelope import DELETED_NAME, Identity, deleted_user, other_participant, participants
from .history import Message, RoomRow
from .models import messages, now_ms, rooms, users
from .transactions import chunks

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


def fetch_new_messages(connection: Connection, query: Select[Any]) -> list[Message]:
    """Return the messages found by a query made from `select_messages`, with their senders as of then."""
    return [to_message(row) for row in connection.execute(query)]


def fetch_messages(connection: Connection, query: Select[Any]) -> list[Message]:
    """Return the messages found by a query made from `select_messages`; accounts deleted since are shown as such."""
    found = fetch_new_messages(connection, query)
    gone = deleted_among(connection, (id for message in found for id in user_ids(message)))
    return [show_deleted(message, gone) for message in found] if gone else found


def user_ids(message: Message) -> tuple[str, ...]:
    """Return the ids of the users whose names a message shows."""
    return participants(message.room) or (() if message.user is None else (message.user.id,))


def show_deleted(message: Message, gone: Collection[str]) -> Message:
    """Return a message without the names of those of its users whose accounts are `gone`."""
    user = message.user
    if user is not None and message.to is not None and other_participant(message.room, user.id) in gone:
        message = message._replace(to=DELETED_NAME)
    return message if user is None or user.id not in gone else message._replace(user=deleted_user(user.id))


def deleted_among(connection: Connection, ids: Iterable[str]) -> set[str]:
    """Return those of `ids` whose accounts have ended."""
    found: set[str] = set()
    for chunk in chunks(list(dict.fromkeys(ids))):
        wanted = select(users.c.id).where(users.c.id.in_(chunk), users.c.deleted_at.is_not(None))
        found.update(connection.execute(wanted).scalars())
    return found


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
