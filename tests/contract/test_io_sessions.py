"""The contract of stored Socket.IO sessions, on SQLite and PostgreSQL."""

from time import sleep

import pytest

from chat.store import rows
from chat.store.io_sessions import IoSessions
from chat.store.io_values import IoSession
from chat.store.models import now_ms
from tests.contract.threads import at_once, run

pytestmark = pytest.mark.contract
HOUR = 3_600_000


@pytest.fixture
def sessions(engine):
    return IoSessions(engine, run)


def test_a_saved_session_is_found(sessions):
    saved = [IoSession(f"c{number}", "7", {"lobby": 0, "大厅/😀": number}) for number in range(3)]
    sessions.save(saved, 1)
    assert [sessions.get(one.id) for one in saved] == saved
    assert sessions.get("c9") is None


def test_saving_again_replaces_a_session(sessions):
    sessions.save([IoSession("c", "7", {"lobby": 0})], 1)
    sessions.save([IoSession("c", "7", {})], 2)
    assert sessions.get("c").rooms == {}


def test_deleted_sessions_are_gone(sessions):
    saved = [IoSession(f"c{number}", "7", {}) for number in range(1200)]
    sessions.save(saved, 1)
    sessions.delete([one.id for one in saved[1:]], 1)
    assert sessions.get("c0") and not any(sessions.get(one.id) for one in saved[1::300])
    sessions.delete([], 1)
    sessions.delete(["unknown"], 1)
    sessions.save([], 1)


def test_only_the_process_that_took_a_session_over_deletes_it(sessions):
    assert sessions.owner("c") is None
    sessions.take_over("c", 1)
    assert sessions.owner("c") is None
    sessions.save([IoSession("c", "7", {"lobby": 0})], 1)
    sessions.take_over("c", 2)
    sessions.delete(["c"], 1)
    assert sessions.owner("c") == 2
    assert sessions.get("c").rooms == {"lobby": 0}
    sessions.delete(["c"], 2)
    assert sessions.get("c") is None


def test_sessions_that_no_process_has_renewed_are_deleted(sessions):
    sessions.save([IoSession("mine", "7", {}), IoSession("left", "7", {})], 1)
    sessions.take_over("left", 2)
    sleep(0.01)  # a renewal in the same millisecond would not be later
    now = sessions.renew(1)
    sessions.delete_left(now - HOUR)
    assert sessions.get("mine") and sessions.get("left")
    sessions.delete_left(now)
    assert sessions.get("mine") and not sessions.get("left")


@pytest.mark.parametrize("seconds", [3_600, -3_600], ids=["forward", "back"])
def test_sessions_are_renewed_by_one_clock_for_all_processes(sessions, engine, monkeypatch, seconds):
    """On PostgreSQL its own: the clock of a machine may jump. On SQLite there is one machine."""
    before = sessions.renew(1)
    monkeypatch.setattr(rows, "now_ms", lambda: now_ms() + seconds * 1000)
    jump = sessions.renew(1) - before
    if engine.dialect.name == "postgresql":
        assert abs(jump) < HOUR // 2
    else:
        assert abs(jump) > HOUR // 2
    sessions.save([IoSession("saved", "7", {}), IoSession("taken", "7", {})], 1)
    sessions.take_over("taken", 2)
    with engine.begin() as connection:
        found = connection.exec_driver_sql("SELECT min(updated_at), max(updated_at) FROM chat_io_sessions")
        assert all(abs(at - before - jump) < HOUR // 2 for at in found.one())


def test_concurrent_saves_of_one_session(sessions):
    writers = [lambda n=n: sessions.save([IoSession("c", "7", {"room": n})], n) for n in range(6)]
    assert at_once(*writers) == [None] * 6
    assert sessions.get("c").rooms["room"] in range(6)
