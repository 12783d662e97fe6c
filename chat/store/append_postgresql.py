"""Append on PostgreSQL: one transaction in two round trips, pipelined.

The rooms are locked in the order of their ids, so that appends side by side wait for each other and never in a circle.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
from sqlalchemy import Engine

from ..identity.names import name_key
from ..wire.envelope import Identity
from . import terms
from .batch import Batch, Key, Place
from .history import DIRECT, MEMBER, Draft, Message, Stored, StoreUnavailable
from .models import now_ms
from .naming import new_epoch
from .rows import to_message
from .transactions import failures

_USERS = "SELECT name_key, id, username FROM chat_users WHERE name_key = ANY(%s) AND deleted_at IS NULL"
_PATIENCE = "SELECT set_config('lock_timeout', %s, true)"
_LOCK = (
    "SELECT name, id, last_seq, ephemeral FROM chat_rooms WHERE name = ANY(%s) ORDER BY id FOR NO KEY UPDATE"
)
# Drawn under the rooms' locks, so that in each room pk grows with seq.
_NUMBERS = "SELECT nextval('chat_messages_pk_seq') FROM generate_series(1, %s)"
_KNOWN = (
    "SELECT m.pk, r.name, m.room_id, m.seq, m.type, m.sender_id, m.sender_name, m.to_name, m.id, m.data, m.ts, m.origin"
    " FROM unnest(%s::text[], %s::text[], %s::text[]) AS k (room, sender_id, id)"
    " JOIN chat_rooms AS r ON r.name = k.room"
    " JOIN chat_messages AS m ON m.id = k.id AND m.sender_id = k.sender_id AND m.room_id = r.id"
)
# One value for all rows: psycopg would write arrays in Python, character by character.
_INSERT = (
    "INSERT INTO chat_messages"
    " (batch, pk, room_id, seq, type, sender_id, sender_name, to_name, id, data, ts, origin, terms)"
    " SELECT pg_current_xact_id()::text::bigint, m.*"
    " FROM json_to_recordset(%s::json) AS m (pk bigint, room_id bigint, seq bigint, type smallint, sender_id text,"
    " sender_name text, to_name text, id text, data text, ts bigint, origin bigint, terms tsvector)"
)
_SPOKEN = (
    "UPDATE chat_rooms AS r SET last_seq = last_seq + n, last_at = %s, changed = pg_current_xact_id()::text::bigint"
    " FROM unnest(%s::bigint[], %s::bigint[]) AS s (id, n) WHERE r.id = s.id"
)
_MENTION = (
    "INSERT INTO chat_mentions (user_id, room_id, seq)"
    " SELECT * FROM unnest(%s::text[], %s::bigint[], %s::bigint[]) ON CONFLICT DO NOTHING"
)
# Only who holds this lock makes direct rooms, and holds no room's lock yet: two who made the same one at once would
# wait for each other out of the order of ids.
_ALONE = "SELECT pg_advisory_xact_lock(hashtext('flask-chat:direct'))"
_DIRECT_ROOM = (
    "INSERT INTO chat_rooms"
    " (name, title, topic, kind, ephemeral, epoch, first_seq, last_seq, last_at, created_at, changed)"
    f" VALUES (%s, '', '', '{DIRECT}', false, %s, 1, 0, %s, %s, pg_current_xact_id()::text::bigint)"
    " ON CONFLICT (name) DO NOTHING RETURNING id"
)
_DIRECT_MEMBER = (
    "INSERT INTO chat_memberships (room_id, user_id, username, name_key, role, read_seq, joined_at)"
    " VALUES (%s, %s, %s, %s, %s, 0, %s)"
)
_NAME = "SELECT username FROM chat_users WHERE id = %s"

#: A psycopg connection. psycopg is imported only where PostgreSQL is used.
Driver = Any


class PostgresqlAppend:
    """Appends through the engine's connections, waiting at most `busy_seconds` for a room's lock. Callable anywhere.

    Under gevent it waits cooperatively; a greenlet must not be killed in it.
    """

    def __init__(self, engine: Engine, busy_seconds: float) -> None:
        self._engine = engine
        self._patience = f"{max(1, round(busy_seconds * 1000))}ms"

    def append(self, drafts: Sequence[Draft], origin: int) -> list[Stored | str]:
        """Store the drafts: History.append."""
        import psycopg

        batch = Batch(drafts, origin)
        with self._driver() as driver:
            users = _users(driver, batch.names_to_resolve)
            batch.resolve(users, lambda keys: {key: user.id for key, user in _users(driver, keys).items()})
            try:
                self._write(driver, batch, False)
            except psycopg.errors.UniqueViolation:
                # Some id is known. That is rare, so it is not looked for at first.
                driver.rollback()
                self._write(driver, batch, True)
        return batch.results

    def close(self) -> None:
        """Do nothing: the connections are the engine's."""

    @contextmanager
    def _driver(self) -> Iterator[Driver]:
        import psycopg

        try:
            with failures(), self._connection() as connection:
                yield connection.driver_connection
        except (psycopg.OperationalError, psycopg.InternalError, psycopg.InterfaceError) as error:
            raise StoreUnavailable(str(error).partition("\n")[0]) from error

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        connection = self._engine.raw_connection()
        try:
            yield connection
        except BaseException:
            connection.invalidate()
            raise
        finally:
            # The pool rolls back what is open.
            connection.close()

    def _write(self, driver: Driver, batch: Batch, look_for_known: bool) -> None:
        places, known, pks = self._look(driver, batch, look_for_known)
        missing = {name: pair for name, pair in batch.pairs.items() if name not in places}
        if missing:
            driver.rollback()
            _make_direct_rooms(driver, missing)
            places, known, pks = self._look(driver, batch, look_for_known)
        now = now_ms()
        batch.place(places, known, iter(pks), now)
        with driver.pipeline():
            if batch.fresh:
                driver.execute(_INSERT, [_rows(batch.fresh)])
                driver.execute(_SPOKEN, [now, list(batch.spoken), list(batch.spoken.values())])
            if named := list(batch.named()):
                driver.execute(_MENTION, [list(column) for column in zip(*named, strict=True)])
            driver.commit()

    def _look(
        self, driver: Driver, batch: Batch, look_for_known: bool
    ) -> tuple[dict[str, Place], dict[Key, Message], list[int]]:
        names = list({name for name in batch.rooms if name is not None})
        with driver.pipeline():
            driver.execute(_PATIENCE, [self._patience])
            rooms = driver.execute(_LOCK, [names])
            numbers = driver.execute(_NUMBERS, [len(batch.drafts)])
            known = driver.execute(_KNOWN, _key_columns(batch)) if look_for_known else None
            places = {name: Place(*rest) for name, *rest in rooms.fetchall()}
            pks = [pk for (pk,) in numbers.fetchall()]
            twins = map(to_message, known.fetchall()) if known else ()
            return places, {_key(twin): twin for twin in twins}, pks


def _users(driver: Driver, keys: Iterable[str]) -> dict[str, Identity]:
    keys = list(keys)
    if not keys:
        return {}
    return {key: Identity(id, name) for key, id, name in driver.execute(_USERS, [keys]).fetchall()}


def _key(message: Message) -> Key:
    return message.room_id, message.user.id if message.user else "", message.id


def _key_columns(batch: Batch) -> list[list[str]]:
    return [list(column) for column in zip(*batch.keys(), strict=True)] or [[], [], []]


def _rows(messages: Iterable[Message]) -> str:
    return orjson.dumps([_row(message) for message in messages]).decode()


def _row(message: Message) -> dict[str, Any]:
    pk, _, room_id, seq, type, user, to, id, data, ts, origin = message
    sender_id, sender_name = user or ("", "")
    return {
        "pk": pk,
        "room_id": room_id,
        "seq": seq,
        "type": type,
        "sender_id": sender_id,
        "sender_name": sender_name,
        "to_name": to,
        "id": id,
        "data": data,
        "ts": ts,
        "origin": origin,
        "terms": terms.tsvector_literal(data, room_id),
    }


def _make_direct_rooms(driver: Driver, pairs: dict[str, list[Identity]]) -> None:
    driver.execute(_ALONE)
    now = now_ms()
    for room, pair in pairs.items():
        made = driver.execute(_DIRECT_ROOM, [room, new_epoch(), now, now]).fetchone()
        for id, username in pair if made else ():
            # Who writes may have written the name in another way than its owner.
            name = (driver.execute(_NAME, [id]).fetchone() or (username,))[0]
            driver.execute(_DIRECT_MEMBER, [made[0], id, name, name_key(name), MEMBER, now])
