"""A history whose database fails raises StoreUnavailable, stores nothing, and recovers by itself. On both databases."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from chat.store.history import StoreUnavailable
from chat.store.sql import SqlHistory
from chat.store.users import Users
from chat.wire.envelope import Identity
from tests.contract.failures import ADA, append, stored
from tests.contract.threads import run

pytestmark = pytest.mark.contract


@pytest.fixture
def history(engine):
    history = SqlHistory(engine, run, busy_seconds=0.2)
    yield history
    history.close()


def test_an_append_fails_if_a_room_stays_locked(history, engine):
    """Nothing is stored, and the next append works."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE chat_rooms SET topic = 'held' WHERE name = 'lobby'"))
        with pytest.raises(StoreUnavailable):
            append(history, "lost")
        assert history.ping() is None and stored(history) == []
    append(history, "kept")
    assert stored(history) == [(1, "kept")]


def test_an_append_waits_for_a_short_lock(engine):
    history = SqlHistory(engine, run)
    with ThreadPoolExecutor() as pool:
        with engine.begin() as connection:
            connection.execute(text("UPDATE chat_rooms SET topic = 'held' WHERE name = 'lobby'"))
            waiting = pool.submit(append, history)
            time.sleep(0.05)
            assert not waiting.done()
        assert len(waiting.result(10)) == 1
    history.close()


def test_a_failure_of_the_last_statement_rolls_everything_back(history, engine):
    """Seqs, messages and terms belong to one transaction."""
    with engine.begin() as connection:
        columns = "(id, username, name_key, lookup_key, tokens_valid_after, banned, created_at)"
        connection.execute(text(f"INSERT INTO chat_users {columns} VALUES ('1', 'a', 'a', 'a', 0, false, 1)"))
        connection.execute(text("ALTER TABLE chat_mentions RENAME TO elsewhere"))
    with pytest.raises(Exception, match="chat_mentions"):
        append(history, "lost @a")
    assert (history.room("lobby").last_seq, stored(history)) == (0, [])
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE elsewhere RENAME TO chat_mentions"))
    append(history, "kept @a")
    assert stored(history) == [(1, "kept @a")]


def test_memberships_follow_the_names_of_a_sites_own_users(history, engine):
    users = Users(engine, run)
    users.ensure(ADA)
    lobby = history.room("lobby")
    history.join(lobby.id, ADA)
    users.ensure(Identity("1", "Zoë"))
    assert [member.user for member in history.members(lobby.id, "Ada", 10)] == [Identity("1", "Zoë")]
