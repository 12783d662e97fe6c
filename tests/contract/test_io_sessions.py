"""Which rooms Socket.IO's connections are in: SQLite and PostgreSQL held to one contract."""

import pytest

from chat.store.io_sessions import IoSessions
from chat.store.io_values import IoSession
from chat.store.models import now_ms
from tests.contract.threads import at_once, run

pytestmark = pytest.mark.contract
HOUR = 3_600_000


@pytest.fixture
def sessions(engine):
    return IoSessions(engine, run)


def test_what_is_kept_is_found(sessions):
    kept = [IoSession(f"c{number}", "7", {"lobby": 0, "大厅/😀": number}) for number in range(3)]
    sessions.save(kept, 1)
    assert [sessions.get(one.id) for one in kept] == kept
    assert sessions.get("c9") is None


def test_a_newer_state_takes_the_place_of_the_older(sessions):
    sessions.save([IoSession("c", "7", {"lobby": 0})], 1)
    sessions.save([IoSession("c", "7", {})], 2)
    assert sessions.get("c").rooms == {}


def test_what_is_over_is_forgotten(sessions):
    kept = [IoSession(f"c{number}", "7", {}) for number in range(1200)]
    sessions.save(kept, 1)
    sessions.forget([one.id for one in kept[1:]], 1)
    assert sessions.get("c0") and not any(sessions.get(one.id) for one in kept[1::300])
    sessions.forget([], 1)
    sessions.forget(["unknown"], 1)
    sessions.save([], 1)


def test_what_has_gone_over_to_another_process_is_its_own(sessions):
    assert sessions.owner("c") is None
    sessions.adopt("c", 1)
    assert sessions.owner("c") is None
    sessions.save([IoSession("c", "7", {"lobby": 0})], 1)
    sessions.adopt("c", 2)
    sessions.forget(["c"], 1)
    assert sessions.owner("c") == 2
    assert sessions.get("c").rooms == {"lobby": 0}
    sessions.forget(["c"], 2)
    assert sessions.get("c") is None


def test_a_process_keeps_its_own_and_drops_what_others_have_left(sessions):
    sessions.save([IoSession("mine", "7", {})], 1)
    sessions.save([IoSession("left", "7", {})], 2)
    sessions.renew(1, now_ms() - HOUR)
    assert sessions.get("mine") and sessions.get("left")
    sessions.renew(3, now_ms() + HOUR)
    assert not sessions.get("mine") and not sessions.get("left")


def test_a_process_never_drops_its_own(sessions, engine):
    sessions.save([IoSession("mine", "7", {})], 1)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE chat_io_sessions SET updated_at = 1")
    sessions.save([IoSession("another's", "7", {})], 2)
    sessions.renew(1, now_ms() - HOUR)
    assert sessions.get("mine")


def test_writers_at_once_agree(sessions):
    writers = [lambda n=n: sessions.save([IoSession("c", "7", {"room": n})], n) for n in range(6)]
    assert at_once(*writers) == [None] * 6
    assert sessions.get("c").rooms["room"] in range(6)
