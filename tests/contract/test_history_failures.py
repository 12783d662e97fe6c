"""What a history does when its database fails it: it says so, it has stored nothing, and it goes on by itself."""

import os
import resource
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from chat.store.engine import make_engine
from chat.store.history import PUBLIC, Draft, StoreUnavailable
from chat.store.sql import SqlHistory
from chat.store.users import Users
from chat.wire.envelope import Identity
from tests.contract.threads import run

pytestmark = pytest.mark.contract

ADA = Identity("1", "Ada")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def history(engine):
    history = SqlHistory(engine, run, busy_seconds=0.2)
    yield history
    history.close()


@pytest.fixture
def sqlite(request, tmp_path):
    """The path of a SQLite database, and a history on it."""
    path = tmp_path / "chat.db"
    engine = make_engine(request.getfixturevalue("migrated_sqlite")(path))
    history = SqlHistory(engine, run, busy_seconds=0.05)
    yield path, history
    history.close()
    engine.dispose()


@pytest.fixture
def postgresql_url(migrated_postgresql):
    return migrated_postgresql()


@pytest.fixture
def pg(postgresql_url):
    """A history on PostgreSQL, and a connection of somebody else's to the same database."""
    engine = make_engine(postgresql_url)
    with psycopg.connect(postgresql_url, autocommit=True) as admin:
        yield SqlHistory(engine, run, busy_seconds=0.3), admin
    engine.dispose()


def append(history, data="hi", id=None, room="lobby", count=1):
    drafts = [Draft(2, room, ADA, id or f"{data}{n}", True, data) for n in range(count)]
    return [stored.message for stored in history.append(drafts, 7)]


def stored(history, room="lobby"):
    return [(message.seq, message.data) for message in history.after(history.room(room).id, 0, 1000)]


# Both


def test_a_room_that_somebody_else_holds(history, engine):
    """Longer than an append waits for it; afterwards all is as before."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE chat_rooms SET topic = 'held' WHERE name = 'lobby'"))
        with pytest.raises(StoreUnavailable):
            append(history, "lost")
        assert history.ping() is None and stored(history) == []
    append(history, "kept")
    assert stored(history) == [(1, "kept")]


def test_an_append_waits_for_who_is_quicker(engine):
    history = SqlHistory(engine, run)
    with ThreadPoolExecutor() as pool:
        with engine.begin() as connection:
            connection.execute(text("UPDATE chat_rooms SET topic = 'held' WHERE name = 'lobby'"))
            waiting = pool.submit(append, history)
            time.sleep(0.05)
            assert not waiting.done()
        assert len(waiting.result(10)) == 1
    history.close()


def test_the_table_that_fails_last_takes_all_with_it(history, engine):
    """Seqs, messages and words are of one transaction: the last of its statements fails here."""
    with engine.begin() as connection:
        columns = "(id, username, name_key, tokens_valid_after, banned, created_at)"
        connection.execute(text(f"INSERT INTO chat_users {columns} VALUES ('1', 'a', 'a', 0, false, 1)"))
        connection.execute(text("ALTER TABLE chat_mentions RENAME TO elsewhere"))
    with pytest.raises(Exception, match="chat_mentions"):
        append(history, "lost @a")
    assert (history.room("lobby").last_seq, stored(history)) == (0, [])
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE elsewhere RENAME TO chat_mentions"))
    append(history, "kept @a")
    assert stored(history) == [(1, "kept @a")]


def test_members_follow_the_names_of_a_sites_own_users(history, engine):
    users = Users(engine, run)
    users.ensure(ADA)
    lobby = history.room("lobby")
    history.join(lobby.id, ADA)
    users.ensure(Identity("1", "Zoë"))
    assert [member.user for member in history.members(lobby.id, "Ada", 10)] == [Identity("1", "Zoë")]


# SQLite


@contextmanager
def full_disk(history):
    """Let the file of the kept connection grow no more."""
    connection = history._append._idle[0].connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    yield


@contextmanager
def files_cannot_grow(path):
    """Let the kernel refuse every write beyond the log's present end."""
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


def test_a_log_that_cannot_grow(sqlite):
    path, history = sqlite
    append(history, "first")
    with files_cannot_grow(path):
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                append(history, "x" * 4000, count=200)
            assert stored(history) == [(1, "first")]
    append(history, "second")
    assert stored(history) == [(1, "first"), (2, "second")]


def test_a_database_that_vanishes(sqlite):
    path, history = sqlite
    append(history, "first")
    away = path.rename(path.with_suffix(".away"))
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            append(history, "lost")
    assert not path.exists()
    away.rename(path)
    append(history, "second")
    assert stored(history) == [(1, "first"), (2, "second")]


def test_a_database_that_is_replaced(sqlite, migrated_sqlite):
    """What is acknowledged is in the file that stands there now."""
    path, history = sqlite
    append(history, "in the old file")
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        name.unlink()
    migrated_sqlite(path)
    append(history, "in the new one")
    assert stored(history) == [(1, "in the new one")]


def test_a_room_that_was_removed_by_hand(sqlite):
    """Its messages may still be there: their numbers are not given out again."""
    path, history = sqlite
    history.create_room("other", PUBLIC, None)
    append(history, "first")
    (last,) = append(history, "orphan", room="other")
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM chat_rooms WHERE name = 'other'")
    (message,) = append(history, "second")
    assert message.pk > last.pk


def test_what_is_no_database(sqlite):
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


def test_a_locked_database_keeps_nobody_from_reading(sqlite):
    path, history = sqlite
    append(history, "first")
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        append(history, "lost")
    assert stored(history) == [(1, "first")]
    holder.close()


def test_one_thread_after_another(sqlite):
    """Under gevent each append may run in another thread of the pool; all use one connection."""
    _, history = sqlite
    for number in range(5):
        thread = threading.Thread(target=append, args=(history, str(number)))
        thread.start()
        thread.join()
    assert len(stored(history)) == 5 and len(history._append._idle) == 1


def test_a_forked_child_and_its_parent(sqlite):
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


def test_a_child_takes_over_no_connection(sqlite):
    """Not even one that came back to the store after it was emptied for the fork."""
    _, history = sqlite
    append(history, "before")
    (kept,) = history._append._idle
    history._append._idle[0] = kept._replace(process=kept.process + 1)
    append(history, "after")
    assert history._append._idle[0].connection is not kept.connection
    kept.connection.close()


# PostgreSQL


def end_all_connections(admin):
    admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


def test_connections_that_were_lost_while_idle(pg):
    history, admin = pg
    append(history, "first")
    end_all_connections(admin)
    append(history, "second")
    end_all_connections(admin)
    assert stored(history) == [(1, "first"), (2, "second")]


def test_a_connection_that_is_lost_in_the_middle(pg, postgresql_url):
    history, admin = pg
    append(history, "first")
    with psycopg.connect(postgresql_url) as holder, ThreadPoolExecutor() as pool:
        holder.execute("SELECT 1 FROM chat_rooms FOR UPDATE")
        lost = pool.submit(append, history, "lost")
        wait_for_lock(admin)
        end_waiting(admin)
        assert isinstance(lost.exception(10), StoreUnavailable)
    append(history, "second")
    assert stored(history) == [(1, "first"), (2, "second")]


def wait_for_lock(admin):
    while not admin.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchone():
        time.sleep(0.002)


def end_waiting(admin):
    admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")


def test_a_database_that_lets_nobody_in(pg, postgresql_url):
    history, admin = pg
    append(history, "first")
    name = admin.info.dbname
    with psycopg.connect(postgresql_url.replace(f"/{name}", "/postgres"), autocommit=True) as elsewhere:
        elsewhere.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        end_all_connections(admin)
        for call in (lambda: append(history), history.ping, lambda: history.room("lobby")):
            with pytest.raises(StoreUnavailable):
                call()
        elsewhere.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    append(history, "second")
    assert stored(history) == [(1, "first"), (2, "second")]


def test_a_database_that_may_only_be_read(pg):
    """As after a failover: no error of ours, and the next connection may find the new primary."""
    history, admin = pg
    admin.execute(f"ALTER DATABASE {admin.info.dbname} SET default_transaction_read_only = on")
    with pytest.raises(StoreUnavailable):
        append(history, "lost")
    admin.execute(f"ALTER DATABASE {admin.info.dbname} RESET default_transaction_read_only")
    append(history, "kept")
    assert stored(history) == [(1, "kept")]


def test_what_commits_late_is_not_missed(pg, postgresql_url):
    """A transaction that began before the mark was taken, and ended after later ones had been told."""
    history, _ = pg
    other = history.create_room("other", PUBLIC, None)
    mark, _ = history.changed(None)
    with psycopg.connect(postgresql_url) as slow:
        number = slow.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
        slow.execute("UPDATE chat_rooms SET last_seq = 1, changed = %s WHERE name = 'other'", number)
        slow.execute(
            "INSERT INTO chat_messages (room_id, seq, batch, type, sender_id, sender_name, id, data, ts, origin)"
            " VALUES (%s, 1, %s, 2, '', '', 'x', 'late', 1, 1)",
            [other.id, *number],
        )
        append(history, "early")
        mark, rows = history.changed(mark)
        assert [row.name for row in rows] == ["lobby"]
        append(history, "early too")
        mark, rows = history.changed(mark)
        assert [row.name for row in rows] == ["lobby"]
        slow.commit()
    _, rows = history.changed(mark)
    assert "other" in {row.name for row in rows}
    assert [message.data for message in history.new_in([other.id], mark)] == ["late"]


def test_numbers_of_another_server_are_not_news(pg):
    """A dump that was loaded into a new server bears the transaction numbers of the old one."""
    history, admin = pg
    append(history, "old")
    admin.execute("UPDATE chat_rooms SET changed = changed + 1000000")
    admin.execute("UPDATE chat_messages SET batch = batch + 1000000")
    mark, _ = history.changed(None)
    assert history.changed(mark)[1] == []
    assert history.new_in([history.room("lobby").id], mark) == []
    append(history, "new")
    assert [row.name for row in history.changed(mark)[1]] == ["lobby"]
    assert [message.data for message in history.new_in([history.room("lobby").id], mark)] == ["new"]


def test_a_url_may_set_its_own_patience(postgresql_url):
    for query, wanted in (("", "10"), ("connect_timeout=3", "3")):
        engine = make_engine(f"{postgresql_url}{'&' if '?' in postgresql_url else '?'}{query}")
        with engine.connect() as connection:
            parameters = connection.connection.driver_connection.info.get_parameters()
        engine.dispose()
        assert parameters["connect_timeout"] == wanted and parameters["tcp_user_timeout"] == "15000"


GEVENT = """
    from gevent import monkey; monkey.patch_all()
    import sys, gevent, psycopg
    from chat.wire.envelope import Identity
    from chat.store.engine import make_engine
    from chat.store.history import Draft
    from chat.store.sql import SqlHistory

    url = sys.argv[1]
    history = SqlHistory(make_engine(url), lambda function: function())
    holder = psycopg.connect(url)
    holder.execute("SELECT 1 FROM chat_rooms FOR UPDATE")
    draft = Draft(2, "lobby", Identity("1", "Ada"), "x", True, "hi")
    waiting = gevent.spawn(history.append, [draft], 7)
    turns = 0
    while not holder.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone():
        gevent.sleep(0.005)
    for _ in range(20):
        gevent.sleep(0.005)
        turns += 1
    assert not waiting.ready()
    holder.commit()
    print(turns, waiting.get(timeout=10)[0].message.seq)
"""


def test_under_gevent_it_waits_for_postgresql_beside_everything_else(postgresql_url):
    script = [sys.executable, "-c", textwrap.dedent(GEVENT), postgresql_url]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["20", "1"], done.stderr
