"""History.append on PostgreSQL: one transaction in two pipelined round trips.

Rooms are locked in the order of their ids, so that concurrent appends wait for each other without a deadlock.
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
from .batch import Batch, Key, LockedRoom, group_by_key, identities_by_id
from .history import DAY_MS, DIRECT, MEMBER, Draft, Message, Result, StoreUnavailable
from .models import now_ms
from .naming import new_epoch
from .rows import to_message
from .transactions import translated_errors
from .usage import Usage

_NAMED = "SELECT lookup_key, id, username FROM chat_users WHERE lookup_key = ANY(%s) AND deleted_at IS NULL"
_KNOWN = "SELECT id, username, deleted_at IS NOT NULL FROM chat_users WHERE id = ANY(%s)"
_LOCK_TIMEOUT = "SELECT set_config('lock_timeout', %s, true)"
_LOCK = (
    "SELECT name, id, last_seq, ephemeral FROM chat_rooms WHERE name = ANY(%s) ORDER BY id FOR NO KEY UPDATE"
)
# Drawn while the rooms are locked, so that pk ascends with seq in each room.
_NEXT_PKS = "SELECT nextval('chat_messages_pk_seq') FROM generate_series(1, %s)"
_REPEATED = (
    "SELECT m.pk, r.name, m.room_id, m.seq, m.type, m.sender_id, m.sender_name, m.to_name, m.id, m.data, m.ts, m.origin"
    " FROM unnest(%s::text[], %s::text[], %s::text[]) AS k (room, sender_id, id)"
    " JOIN chat_rooms AS r ON r.name = k.room"
    " JOIN chat_messages AS m ON m.id = k.id AND m.sender_id = k.sender_id AND m.room_id = r.id"
)
# One JSON value for all rows: psycopg encodes arrays in Python, character by character.
_INSERT = (
    "INSERT INTO chat_messages"
    " (batch, pk, room_id, seq, type, sender_id, sender_name, to_name, id, data, ts, origin, terms)"
    " SELECT pg_current_xact_id()::text::bigint, m.*"
    " FROM json_to_recordset(%s::json) AS m (pk bigint, room_id bigint, seq bigint, type smallint, sender_id text,"
    " sender_name text, to_name text, id text, data text, ts bigint, origin bigint, terms tsvector)"
)
_UPDATE_ROOMS = (
    "UPDATE chat_rooms AS r SET last_seq = last_seq + n, last_at = %s, changed = pg_current_xact_id()::text::bigint"
    " FROM unnest(%s::bigint[], %s::bigint[]) AS s (id, n) WHERE r.id = s.id"
)
_MENTION = (
    "INSERT INTO chat_mentions (user_id, room_id, seq)"
    " SELECT * FROM unnest(%s::text[], %s::bigint[], %s::bigint[]) ON CONFLICT DO NOTHING"
)
_USED = "SELECT user_id, bytes FROM chat_usage WHERE user_id = ANY(%s) AND day >= %s"
# The later day counts: the clocks of two workers may differ around midnight. In one order, so that two transactions
# that store for the same users do not wait for each other.
_ADD_USED = (
    "INSERT INTO chat_usage AS u (user_id, day, bytes)"
    ' SELECT id, %s, n FROM unnest(%s::text[], %s::bigint[]) AS added (id, n) ORDER BY id COLLATE "C"'
    " ON CONFLICT (user_id) DO UPDATE SET"
    " bytes = CASE WHEN excluded.day > u.day THEN excluded.bytes ELSE u.bytes + excluded.bytes END,"
    " day = greatest(u.day, excluded.day) RETURNING user_id, bytes"
)
# Held by the only transaction that creates direct rooms, which holds no room's lock yet: two transactions that created
# the same room would wait for each other, not in the order of ids.
_LOCK_DIRECT = "SELECT pg_advisory_xact_lock(hashtext('flask-chat:direct'))"
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

#: A psycopg connection. psycopg is imported only if PostgreSQL is used.
Driver = Any


class PostgresqlAppend:
    """Appends on connections of the engine, waiting at most `busy_seconds` for a room's lock; from any thread.

    `quota` is the number of bytes that one user may store a day; 0 is no limit. Two appends at the same moment, to
    different rooms, may each fill what is left of it.
    """

    def __init__(self, engine: Engine, busy_seconds: float, quota: int = 0) -> None:
        self._engine = engine
        self._usage = Usage(quota)
        self._lock_timeout = f"{max(1, round(busy_seconds * 1000))}ms"

    def append(self, drafts: Sequence[Draft], origin: int) -> list[Result]:
        """Store the drafts: History.append."""
        import psycopg

        batch = Batch(drafts, origin, terms.tsvector_literal, self._usage.quota)
        with self._driver() as driver:
            batch.resolve(
                _named(driver, batch.names_to_resolve),
                _known(driver, batch.ids_to_resolve),
                lambda keys: _named(driver, keys),
            )
            try:
                self._write(driver, batch, False)
            except psycopg.errors.UniqueViolation:
                # Some draft is a repeat. That is rare, so it is not checked first.
                driver.rollback()
                self._write(driver, batch, True)
        return batch.results

    def close(self) -> None:
        """Do nothing: the connections belong to the engine."""

    @contextmanager
    def _driver(self) -> Iterator[Driver]:
        import psycopg

        try:
            with translated_errors(), self._connection() as connection:
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
            # The pool rolls back an open transaction.
            connection.close()

    def _write(self, driver: Driver, batch: Batch, check_repeats: bool) -> None:
        now = now_ms()
        rooms, stored, pks, used = self._lock_rooms(driver, batch, check_repeats, now)
        missing = {name: users for name, users in batch.direct_rooms.items() if name not in rooms}
        if missing:
            driver.rollback()
            _create_direct_rooms(driver, missing)
            rooms, stored, pks, used = self._lock_rooms(driver, batch, check_repeats, now)
        now = now_ms()
        batch.assign(rooms, stored, iter(pks), now, used)
        if batch.has_refused and not check_repeats:
            batch.assign(rooms, _find_repeated(driver, batch), iter(pks), now, used)
        with driver.pipeline():
            if batch.fresh:
                driver.execute(_INSERT, [_rows(batch)])
                counts = batch.counts
                driver.execute(_UPDATE_ROOMS, [now, list(counts), list(counts.values())])
            if mentions := list(batch.mentions()):
                driver.execute(_MENTION, [list(column) for column in zip(*mentions, strict=True)])
            due, day = self._usage.due(batch.added), now // DAY_MS
            added = driver.execute(_ADD_USED, [day, list(due), list(due.values())]) if due else None
            bytes_now = dict(added.fetchall()) if added else {}
            driver.commit()
        self._usage.add(batch.added, due, bytes_now)

    def _lock_rooms(
        self, driver: Driver, batch: Batch, check_repeats: bool, now: int
    ) -> tuple[dict[str, LockedRoom], dict[Key, Message], list[int], dict[str, int]]:
        """Return the drafts' rooms, now locked, the messages that they repeat, a pk for each, and the bytes used."""
        senders = batch.counted_senders
        unknown = self._usage.unknown(senders, now // DAY_MS)
        names = list({name for name in batch.rooms if name is not None})
        with driver.pipeline():
            driver.execute(_LOCK_TIMEOUT, [self._lock_timeout])
            locked = driver.execute(_LOCK, [names])
            numbers = driver.execute(_NEXT_PKS, [len(batch.drafts)])
            repeated = driver.execute(_REPEATED, _key_columns(batch)) if check_repeats else None
            used = driver.execute(_USED, [unknown, now // DAY_MS]) if unknown else None
            rooms = {name: LockedRoom(*rest) for name, *rest in locked.fetchall()}
            pks = [pk for (pk,) in numbers.fetchall()]
            stored = _by_key(repeated) if repeated else {}
            self._usage.learn(unknown, dict(used.fetchall()) if used else {}, now // DAY_MS)
            return rooms, stored, pks, self._usage.used(senders)


def _find_repeated(driver: Driver, batch: Batch) -> dict[Key, Message]:
    return _by_key(driver.execute(_REPEATED, _key_columns(batch)))


def _by_key(cursor: Any) -> dict[Key, Message]:
    return {_key(message): message for message in map(to_message, cursor.fetchall())}


def _named(driver: Driver, keys: Iterable[str]) -> dict[str, list[Identity]]:
    keys = list(keys)
    return group_by_key(driver.execute(_NAMED, [keys]).fetchall() if keys else ())


def _known(driver: Driver, ids: list[str]) -> dict[str, Identity]:
    return identities_by_id(driver.execute(_KNOWN, [ids]).fetchall() if ids else ())


def _key(message: Message) -> Key:
    return message.room_id, message.user.id if message.user else "", message.id


def _key_columns(batch: Batch) -> list[list[str]]:
    return [list(column) for column in zip(*batch.keys(), strict=True)] or [[], [], []]


def _rows(batch: Batch) -> str:
    pairs = zip(batch.fresh, batch.documents, strict=True)
    return orjson.dumps([_row(message, document) for message, document in pairs]).decode()


def _row(message: Message, document: str) -> dict[str, Any]:
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
        "terms": terms.tsvector_row(room_id, document),
    }


def _create_direct_rooms(driver: Driver, rooms: dict[str, list[Identity]]) -> None:
    driver.execute(_LOCK_DIRECT)
    now = now_ms()
    for room, users in rooms.items():
        created = driver.execute(_DIRECT_ROOM, [room, new_epoch(), now, now]).fetchone()
        for id, username in users if created else ():
            # The sender may have spelled the receiver's name differently.
            name = (driver.execute(_NAME, [id]).fetchone() or (username,))[0]
            driver.execute(_DIRECT_MEMBER, [created[0], id, name, name_key(name), MEMBER, now])
