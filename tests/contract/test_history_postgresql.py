"""A history on PostgreSQL whose connections are lost or refused, with late commits, and under gevent."""

import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from chat.store.engine import make_engine
from chat.store.history import PUBLIC, StoreUnavailable
from chat.store.sql import SqlHistory
from tests.contract.failures import append, stored
from tests.contract.threads import run

pytestmark = pytest.mark.contract
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def postgresql_url(migrated_postgresql):
    return migrated_postgresql()


@pytest.fixture
def pg(postgresql_url):
    """A history on PostgreSQL, and another connection to the same database."""
    engine = make_engine(postgresql_url)
    with psycopg.connect(postgresql_url, autocommit=True) as admin:
        yield SqlHistory(engine, run, busy_seconds=0.3), admin
    engine.dispose()


def end_all_connections(admin):
    admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


def test_connections_lost_while_idle(pg):
    history, admin = pg
    append(history, "first")
    end_all_connections(admin)
    append(history, "second")
    end_all_connections(admin)
    assert stored(history) == [(1, "first"), (2, "second")]


def test_a_connection_lost_during_an_append(pg, postgresql_url):
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


def test_a_database_that_refuses_connections(pg, postgresql_url):
    history, admin = pg
    append(history, "first")
    name = admin.info.dbname
    with psycopg.connect(postgresql_url.replace(f"/{name}", "/postgres"), autocommit=True) as other:
        other.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        end_all_connections(admin)
        for call in (lambda: append(history), history.ping, lambda: history.room("lobby")):
            with pytest.raises(StoreUnavailable):
                call()
        other.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    append(history, "second")
    assert stored(history) == [(1, "first"), (2, "second")]


def test_a_read_only_database(pg):
    """As after a failover: StoreUnavailable, and the next connection may reach the new primary."""
    history, admin = pg
    admin.execute(f"ALTER DATABASE {admin.info.dbname} SET default_transaction_read_only = on")
    with pytest.raises(StoreUnavailable):
        append(history, "lost")
    admin.execute(f"ALTER DATABASE {admin.info.dbname} RESET default_transaction_read_only")
    append(history, "kept")
    assert stored(history) == [(1, "kept")]


def test_a_late_commit_is_not_missed(pg, postgresql_url):
    """A transaction that began before the mark and committed after later ones had been returned."""
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


def test_transaction_ids_of_another_server_are_not_new(pg):
    """A dump restored on a new server contains the transaction ids of the old one."""
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


def test_a_url_may_override_timeouts(postgresql_url):
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


def test_under_gevent_an_append_does_not_block_the_loop(postgresql_url):
    script = [sys.executable, "-c", textwrap.dedent(GEVENT), postgresql_url]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["20", "1"], done.stderr
