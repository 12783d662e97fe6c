"""The list of log-in sessions, on a SQLite file and on PostgreSQL."""

import pytest
from sqlalchemy import select, update

from chat.store import log_in_sessions
from chat.store.log_in_sessions import LogInSessionRows
from chat.store.models import log_in_sessions as table
from tests.contract.threads import at_once, run

pytestmark = pytest.mark.contract
MINUTE = 60_000
DAY = 1440 * MINUTE


@pytest.fixture
def rows(engine):
    return LogInSessionRows(engine, run)


@pytest.fixture
def age(engine):
    """age("a", ms) lets this much time pass since the session's last use."""

    def let_pass(id, ms):
        with engine.begin() as connection:
            connection.execute(update(table).where(table.c.id == id).values(used_at=table.c.used_at - ms))

    return let_pass


def ids(rows, user_id="7"):
    return [row.id for row in rows.of_user(user_id)]


def test_a_session_is_listed_with_its_device_until_it_ends(rows):
    assert rows.use("a", "7", "curl/8") and rows.use("b", "7", "x" * 1000) and rows.use("c", "8", "")
    listed = {row.id: row for row in rows.of_user("7")}
    assert set(listed) == {"a", "b"}
    assert listed["a"].user_agent == "curl/8" and len(listed["b"].user_agent) == 300
    assert listed["a"].began_at == listed["a"].used_at > 0
    rows.end("a", "7")
    assert ids(rows) == ["b"] and ids(rows, "8") == ["c"]
    assert (rows.has_ended("a"), rows.has_ended("b"), rows.has_ended("nothing")) == (True, False, False)


def test_an_ended_session_cannot_be_used_again(rows):
    rows.use("a", "7", "")
    rows.end("a", "7")
    assert not rows.use("a", "7", "")
    assert rows.has_ended("a") and ids(rows) == []
    rows.end("a", "7")
    assert rows.has_ended("a")


def test_the_last_use_is_written_at_intervals(rows, age, engine):
    rows.use("a", "7", "")
    began = rows.of_user("7")[0].used_at
    age("a", 4 * MINUTE)
    rows.use("a", "7", "")
    assert rows.of_user("7")[0].used_at == began - 4 * MINUTE
    age("a", 2 * MINUTE)
    rows.use("a", "7", "")
    assert rows.of_user("7")[0].used_at >= began


def test_the_last_used_session_is_the_first(rows, age):
    for number, id in enumerate("abc"):
        rows.use(id, "7", "")
        age(id, number * MINUTE)
    assert ids(rows) == ["a", "b", "c"]


def test_a_session_that_was_never_used_can_be_ended(rows):
    rows.end("a", "7")
    assert rows.has_ended("a") and rows.owner("a") == "7" and not rows.use("a", "7", "")


def test_the_session_of_another_user_stays(rows):
    rows.use("a", "7", "")
    rows.end("a", "8")
    assert ids(rows) == ["a"] and rows.owner("a") == "7" and rows.owner("b") is None


def test_all_sessions_of_a_user_end(rows):
    for id in "ab":
        rows.use(id, "7", "")
    rows.use("c", "8", "")
    rows.end_all("7")
    assert ids(rows) == [] and ids(rows, "8") == ["c"]
    assert rows.has_ended("a") and rows.has_ended("b")


def test_a_users_rows_are_bounded(rows, age, engine, monkeypatch):
    monkeypatch.setattr(log_in_sessions, "MOST", 3)
    rows.use("theirs", "8", "")
    for number in range(5):
        rows.use(f"s{number}", "7", "")
        age(f"s{number}", (9 - number) * MINUTE)
    assert ids(rows) == ["s4", "s3", "s2"]
    age("s3", 401 * DAY)
    rows.use("new", "7", "")
    assert ids(rows) == ["new", "s4", "s2"] and ids(rows, "8") == ["theirs"]
    with engine.connect() as connection:
        assert len(connection.execute(select(table.c.id)).all()) == 4


def test_uses_at_once_add_one_row(rows):
    assert at_once(*[lambda: rows.use("a", "7", "")] * 8) == [True] * 8
    assert ids(rows) == ["a"]
