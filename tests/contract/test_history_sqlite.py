"""A history on SQLite whose file is full, locked, missing, replaced or damaged, in threads and after forks."""

import os
import resource
import sqlite3
import threading
import warnings
from contextlib import contextmanager
from pathlib import Path

import pytest

from chat.store.engine import make_engine
from chat.store.history import PUBLIC, StoreUnavailable
from chat.store.sql import SqlHistory
from tests.contract.failures import append, stored
from tests.contract.threads import run

pytestmark = pytest.mark.contract


@pytest.fixture
def sqlite(request, tmp_path):
    """The path of a SQLite database, and a history on it."""
    path = tmp_path / "chat.db"
    engine = make_engine(request.getfixturevalue("migrated_sqlite")(path))
    history = SqlHistory(engine, run, busy_seconds=0.05)
    yield path, history
    history.close()
    engine.dispose()


@contextmanager
def full_disk(history):
    """Keep the database file of the idle connection from growing."""
    connection = history._append._idle[0].connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    yield


@contextmanager
def files_cannot_grow(path):
    """Let the kernel refuse writes beyond the present end of the WAL."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (Path(f"{path}-wal").stat().st_size + 100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk(sqlite):
    _, history = sqlite
    append(history, "first")
    with full_disk(history), pytest.raises(StoreUnavailable, match="full"):
        append(history, "x" * 4000, count=200)
    append(history, "second")
    assert stored(history) == [(1, "first"), (2, "second")]


def test_a_wal_that_cannot_grow(sqlite):
    path, history = sqlite
    append(history, "first")
    with files_cannot_grow(path):
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                append(history, "x" * 4000, count=200)
            assert stored(history) == [(1, "first")]
    append(history, "second")
    assert stored(history) == [(1, "first"), (2, "second")]


def test_a_missing_database(sqlite):
    path, history = sqlite
    append(history, "first")
    moved = path.rename(path.with_suffix(".moved"))
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            append(history, "lost")
    assert not path.exists()
    moved.rename(path)
    append(history, "second")
    assert stored(history) == [(1, "first"), (2, "second")]


def test_a_replaced_database(sqlite, migrated_sqlite):
    """An acknowledged message is in the new file."""
    path, history = sqlite
    append(history, "in the old file")
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        name.unlink()
    migrated_sqlite(path)
    append(history, "in the new one")
    assert stored(history) == [(1, "in the new one")]


def test_a_room_that_was_deleted_by_hand(sqlite):
    """Its messages may still exist, so their pks are not assigned again."""
    path, history = sqlite
    history.create_room("other", PUBLIC, None)
    append(history, "first")
    (last,) = append(history, "orphan", room="other")
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM chat_rooms WHERE name = 'other'")
    (message,) = append(history, "second")
    assert message.pk > last.pk


def test_a_file_that_is_not_a_database(sqlite):
    path, history = sqlite
    path.write_bytes(b"nothing of that kind " * 1000)
    for call in (
        history.ping,
        lambda: append(history),
        lambda: history.room("lobby"),
        lambda: history.changed(None),
    ):
        with pytest.raises(StoreUnavailable):
            call()


def test_a_locked_database_can_be_read(sqlite):
    path, history = sqlite
    append(history, "first")
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        append(history, "lost")
    assert stored(history) == [(1, "first")]
    holder.close()


def test_threads_share_one_connection(sqlite):
    """Under gevent each append may run in another thread of the pool."""
    _, history = sqlite
    for number in range(5):
        thread = threading.Thread(target=append, args=(history, str(number)))
        thread.start()
        thread.join()
    assert len(stored(history)) == 5 and len(history._append._idle) == 1


def test_a_forked_child_and_its_parent_both_append(sqlite):
    path, _ = sqlite
    history = SqlHistory(make_engine(f"sqlite:///{path}"), run)
    append(history, "before")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads
        child = os.fork()
    if child == 0:
        try:
            for number in range(20):
                append(history, f"child {number}")
            os._exit(0)
        finally:
            os._exit(1)
    for number in range(20):
        append(history, f"parent {number}")
    assert os.waitpid(child, 0)[1] == 0
    assert [seq for seq, _ in stored(history)] == list(range(1, 42))
    history.close()


def test_a_child_uses_no_inherited_connection(sqlite):
    """Not even one that was returned after the idle connections were closed for the fork."""
    _, history = sqlite
    append(history, "before")
    (idle,) = history._append._idle
    history._append._idle[0] = idle._replace(process=idle.process + 1)
    append(history, "after")
    assert history._append._idle[0].connection is not idle.connection
    idle.connection.close()
