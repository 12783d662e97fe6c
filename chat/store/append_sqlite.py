"""History.append on SQLite: one short transaction on a connection that is kept open.

This is the hottest path of the store, so it bypasses SQLAlchemy. Its loops over rows are SQLite's own (`executemany`),
during which other threads can run.
"""

from __future__ import annotations

import json
import os
import sqlite3
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import NamedTuple

from ..identity.names import name_key
from ..wire.envelope import Identity
from . import terms
from .batch import Batch, Key, LockedRoom, group_by_key, identities_by_id
from .history import DAY_MS, DIRECT, MEMBER, Draft, Message, Result, StoreUnavailable
from .models import now_ms
from .naming import new_epoch
from .rows import to_message
from .usage import Usage

#: KiB of page cache: enough for the pages of all indexes that a write touches.
_CACHE_KIB = 16_384
#: Pages in the WAL (16 MB) at which a commit writes them back to the database. Hot pages are in it many times and are
#: written back once, and one commit in some hundreds is slow instead of one in fifty.
_CHECKPOINT_PAGES = 4_000

_NAMED = (
    "SELECT lookup_key, id, username FROM chat_users"
    " WHERE lookup_key IN (SELECT value FROM json_each(?)) AND deleted_at IS NULL"
)
_KNOWN = (
    "SELECT id, username, deleted_at IS NOT NULL FROM chat_users WHERE id IN (SELECT value FROM json_each(?))"
)
_ROOMS = "SELECT name, id, last_seq, ephemeral FROM chat_rooms WHERE name IN (SELECT value FROM json_each(?))"
# Two values, so that no number is assigned again after a room was deleted by hand.
_LAST_NUMBER = (
    "SELECT max((SELECT coalesce(max(changed), 0) FROM chat_rooms),"
    " (SELECT coalesce(max(pk), 0) FROM chat_messages))"
)
_REPEATED = (
    "SELECT m.pk, r.name, m.room_id, m.seq, m.type, m.sender_id, m.sender_name, m.to_name, m.id, m.data, m.ts, m.origin"
    " FROM json_each(?) AS k CROSS JOIN chat_rooms AS r ON r.name = json_extract(k.value, '$[0]')"
    " CROSS JOIN chat_messages AS m ON m.id = json_extract(k.value, '$[2]')"
    " AND m.sender_id = json_extract(k.value, '$[1]') AND m.room_id = r.id"
)
_INSERT = (
    "INSERT INTO chat_messages"
    " (pk, room_id, seq, batch, type, sender_id, sender_name, to_name, id, data, ts, origin)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_INDEX = "INSERT INTO chat_search (rowid, terms) VALUES (?, ?)"
_MENTION = "INSERT OR IGNORE INTO chat_mentions (user_id, room_id, seq) VALUES (?, ?, ?)"
_UPDATE_ROOM = "UPDATE chat_rooms SET last_seq = last_seq + ?, last_at = ?, changed = ? WHERE id = ?"
_DIRECT_ROOM = (
    "INSERT INTO chat_rooms"
    " (name, title, topic, kind, ephemeral, epoch, first_seq, last_seq, last_at, created_at, changed)"
    f" VALUES (?, '', '', '{DIRECT}', 0, ?, 1, 0, ?, ?, ?)"
)
_DIRECT_MEMBER = (
    "INSERT INTO chat_memberships (room_id, user_id, username, name_key, role, read_seq, joined_at)"
    " VALUES (?, ?, ?, ?, ?, 0, ?)"
)
_USED = "SELECT user_id, bytes FROM chat_usage WHERE user_id IN (SELECT value FROM json_each(?)) AND day >= ?"
# The later day counts: the clocks of two workers may differ around midnight.
_ADD_USED = (
    "INSERT INTO chat_usage (user_id, day, bytes) VALUES (?, ?, ?) ON CONFLICT (user_id) DO UPDATE SET"
    " bytes = CASE WHEN excluded.day > day THEN excluded.bytes ELSE bytes + excluded.bytes END,"
    " day = max(day, excluded.day)"
)
_NAME = "SELECT username FROM chat_users WHERE id = ?"


class _OpenConnection(NamedTuple):
    """An open connection, and the process and the file that it belongs to."""

    connection: sqlite3.Connection
    process: int
    file: tuple[int, int]


class SqliteAppend:
    """Appends to the database at `path`, waiting at most `busy_seconds` for other writers; from any thread.

    `quota` is the number of bytes that one user may store a day; 0 is no limit.
    """

    def __init__(self, path: Path, busy_seconds: float, quota: int = 0) -> None:
        self._path = path
        self._usage = Usage(quota)
        self._busy_seconds = busy_seconds
        # One for each append that ever ran concurrently, usually a single one. A deque needs no lock.
        self._idle: deque[_OpenConnection] = deque()
        self._abandoned: list[_OpenConnection] = []
        _close_before_fork(self)

    def append(self, drafts: Sequence[Draft], origin: int) -> list[Result]:
        """Store the drafts: History.append."""
        batch = Batch(drafts, origin, terms.fts5_document, self._usage.quota)
        with self._connection() as connection:
            batch.resolve(
                _named(connection, batch.names_to_resolve),
                _known(connection, batch.ids_to_resolve),
                lambda keys: _named(connection, keys),
            )
            try:
                self._write(connection, batch, False)
            except sqlite3.IntegrityError:
                # Some draft is a repeat. That is rare, so it is not checked first.
                connection.execute("ROLLBACK")
                self._write(connection, batch, True)
        return batch.results

    def _write(self, connection: sqlite3.Connection, batch: Batch, check_repeats: bool) -> None:
        execute = connection.execute
        execute("BEGIN IMMEDIATE")
        number, now = execute(_LAST_NUMBER).fetchone()[0], now_ms()
        rooms, day = _ensure_rooms(connection, batch, number, now), now // DAY_MS
        stored = _find_repeated(connection, batch) if check_repeats else {}
        used = self._used(connection, batch.counted_senders, day)
        batch.assign(rooms, stored, count(number + 1), now, used)
        if batch.has_refused and not check_repeats:
            batch.assign(rooms, _find_repeated(connection, batch), count(number + 1), now, used)
        _insert(connection, batch, now)
        due = self._usage.due(batch.added)
        bytes_now = _add_used(connection, due, day) if due else {}
        execute("COMMIT")
        self._usage.add(batch.added, due, bytes_now)

    def _used(self, connection: sqlite3.Connection, user_ids: list[str], day: int) -> dict[str, int]:
        """Return {user's id: bytes stored on that day}."""
        if unknown := self._usage.unknown(user_ids, day):
            self._usage.learn(unknown, _find_used(connection, unknown, day), day)
        return self._usage.used(user_ids)

    def close(self) -> None:
        """Close the idle connections; the next append opens another."""
        with suppress(IndexError):
            while True:
                self._idle.pop().connection.close()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            kept = self._check_out()
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(str(error)) from error
        try:
            yield kept.connection
            self._idle.append(kept)
        except sqlite3.OperationalError as error:
            self._roll_back(kept)
            raise StoreUnavailable(str(error)) from error
        except BaseException as error:
            kept.connection.close()
            if type(error) is sqlite3.DatabaseError:  # damaged, or not a database
                raise StoreUnavailable(str(error)) from error
            raise

    def _roll_back(self, kept: _OpenConnection) -> None:
        """Roll back and keep the connection: closing it deletes the WAL, and a full disk has no room for a new one."""
        try:
            if kept.connection.in_transaction:
                kept.connection.execute("ROLLBACK")
            self._idle.append(kept)
        except sqlite3.Error:
            kept.connection.close()

    def _check_out(self) -> _OpenConnection:
        file = _file_id(self._path)
        while True:
            try:
                kept = self._idle.pop()
            except IndexError:
                return self._open(file)
            if kept.process != os.getpid():
                # Inherited by a fork: even closing it would release the locks of the parent.
                self._abandoned.append(kept)
            elif kept.file != file:
                # The file was replaced: what this connection writes would be lost.
                kept.connection.close()
            else:
                return kept

    def _open(self, file: tuple[int, int]) -> _OpenConnection:
        # mode=rw: a missing database must not be created again, without tables.
        connection = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=self._busy_seconds,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        return _OpenConnection(connection, os.getpid(), file)


def _insert(connection: sqlite3.Connection, batch: Batch, now: int) -> None:
    fresh = batch.fresh
    if fresh:
        last = fresh[-1].pk
        connection.executemany(_INSERT, [_row(message, last) for message in fresh])
        documents = zip(fresh, batch.documents, strict=True)
        connection.executemany(_INDEX, [(m.pk, terms.fts5_row(m.room_id, text)) for m, text in documents])
        updates = [(added, now, last, room_id) for room_id, added in batch.counts.items()]
        connection.executemany(_UPDATE_ROOM, updates)
        connection.executemany(_MENTION, batch.mentions())


def _row(message: Message, batch: int) -> tuple[object, ...]:
    pk, _, room_id, seq, type, user, to, id, data, ts, origin = message
    sender_id, sender_name = user or ("", "")
    return pk, room_id, seq, batch, type, sender_id, sender_name, to, id, data, ts, origin


def _named(connection: sqlite3.Connection, keys: Iterable[str]) -> dict[str, list[Identity]]:
    keys = list(keys)
    return group_by_key(connection.execute(_NAMED, [json.dumps(keys)]) if keys else ())


def _known(connection: sqlite3.Connection, ids: list[str]) -> dict[str, Identity]:
    return identities_by_id(connection.execute(_KNOWN, [json.dumps(ids)]) if ids else ())


def _ensure_rooms(
    connection: sqlite3.Connection, batch: Batch, number: int, now: int
) -> dict[str, LockedRoom]:
    rooms = _find_rooms(connection, {name for name in batch.rooms if name is not None})
    missing = {name: users for name, users in batch.direct_rooms.items() if name not in rooms}
    for name, users in missing.items():
        _create_direct_room(connection, name, users, number, now)
    return rooms | _find_rooms(connection, missing) if missing else rooms


def _find_rooms(connection: sqlite3.Connection, names: Iterable[str]) -> dict[str, LockedRoom]:
    rows = connection.execute(_ROOMS, [json.dumps(list(names))])
    return {name: LockedRoom(id, last_seq, ephemeral) for name, id, last_seq, ephemeral in rows}


def _create_direct_room(
    connection: sqlite3.Connection, room: str, users: Iterable[Identity], number: int, now: int
) -> None:
    room_id = connection.execute(_DIRECT_ROOM, (room, new_epoch(), now, now, number)).lastrowid
    for id, username in users:
        # The sender may have spelled the receiver's name differently.
        name = (connection.execute(_NAME, (id,)).fetchone() or (username,))[0]
        connection.execute(_DIRECT_MEMBER, (room_id, id, name, name_key(name), MEMBER, now))


def _find_repeated(connection: sqlite3.Connection, batch: Batch) -> dict[Key, Message]:
    rows = connection.execute(_REPEATED, [json.dumps(list(batch.keys()))])
    return {(row[2], row[5], row[8]): to_message(row) for row in rows}


def _find_used(connection: sqlite3.Connection, user_ids: list[str], day: int) -> dict[str, int]:
    return dict(connection.execute(_USED, (json.dumps(user_ids), day)))


def _add_used(connection: sqlite3.Connection, due: dict[str, int], day: int) -> dict[str, int]:
    """Add to the users' bytes of a day and return what they are now."""
    connection.executemany(_ADD_USED, [(user_id, day, added) for user_id, added in due.items()])
    return _find_used(connection, list(due), day)


def _file_id(path: Path) -> tuple[int, int]:
    """Return what distinguishes this file from one that replaces it."""
    status = path.stat()
    return status.st_dev, status.st_ino


def _close_before_fork(append: SqliteAppend) -> None:
    """Close idle connections before a fork: a child would believe that it holds its parent's locks."""
    reference = weakref.ref(append)

    def close() -> None:
        if (append := reference()) is not None:
            append.close()

    os.register_at_fork(before=close)
