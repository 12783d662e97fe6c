"""CHAT_STORE_QUOTA: the bytes that one user may store a day, over all processes and restarts."""

import pytest

from chat.store import append_postgresql, append_sqlite
from chat.store.batch import ROW_BYTES
from chat.store.engine import make_engine
from chat.store.history import DAY_MS, QUOTA_EXCEEDED, Stored
from chat.store.memory import MemoryHistory
from chat.store.memory import append as append_memory
from chat.store.models import now_ms
from chat.store.sql import SqlHistory
from chat.store.users import Users
from tests.contract.drafts import ADA, BOB, CY, HISTORIES, ORIGIN, append_texts, direct, draft, texts
from tests.contract.threads import at_once, run

pytestmark = [pytest.mark.contract, pytest.mark.parametrize("backend", HISTORIES, indirect=True)]

#: A message of 100 bytes counts for 300; three of them fit.
TEXT = "x" * 100
QUOTA = 3 * (len(TEXT) + ROW_BYTES)


@pytest.fixture
def open_history(request, backend):
    """open_history() opens one more history on the same store, with the quota."""
    opened = []

    def open_history():
        if backend == "memory":
            return opened[0] if opened else opened.append(_memory()) or opened[0]
        engine = make_engine(request.getfixturevalue("url"))
        opened.append(SqlHistory(engine, run, store_quota=QUOTA))
        request.addfinalizer(engine.dispose)
        request.addfinalizer(opened[-1].close)
        for user in (ADA, BOB, CY):
            Users(engine, run).ensure(user)
        return opened[-1]

    return open_history


def _memory():
    history = MemoryHistory([ADA, BOB, CY])
    history.ensure_room("lobby")
    history.store_quota = QUOTA
    return history


@pytest.fixture
def history(open_history):
    return open_history()


@pytest.fixture
def go_to(monkeypatch):
    """go_to(days) makes it so many days later."""

    def go_to(days):
        for module in (append_sqlite, append_postgresql, append_memory):
            monkeypatch.setattr(module, "now_ms", lambda: now_ms() + days * DAY_MS)

    return go_to


def test_what_exceeds_it_is_refused_and_other_users_go_on(history):
    results = history.append([draft(TEXT) for _ in range(4)] + [draft(TEXT, sender=BOB)], ORIGIN)
    assert [type(result) for result in results] == [Stored, Stored, Stored, str, Stored]
    assert results[3] == QUOTA_EXCEEDED
    assert history.append([draft(TEXT), draft("")], ORIGIN) == [QUOTA_EXCEEDED] * 2
    assert [one.seq for one in append_texts(history, TEXT, sender=BOB)] == [5]


def test_a_text_counts_in_utf_8_and_smaller_ones_may_still_fit(history):
    results = history.append([draft("茶" * 234), draft("茶" * 200), draft("")], ORIGIN)
    assert [isinstance(result, Stored) for result in results] == [False, True, False]


def test_a_repeat_and_a_refused_message_count_for_nothing(history):
    first = draft(TEXT, id="chosen-1")
    assert all(isinstance(one, Stored) for one in history.append([first], ORIGIN))
    for _ in range(5):
        (again,) = history.append([first], ORIGIN)
        assert isinstance(again, Stored) and not again.fresh
        assert history.append([draft(TEXT, room="nowhere")], ORIGIN) == ["unknown_room"]
    assert len(append_texts(history, TEXT, TEXT)) == 2
    again, refused = history.append([first, draft(TEXT, id="chosen-2")], ORIGIN)
    assert isinstance(again, Stored) and not again.fresh and refused == QUOTA_EXCEEDED


def test_direct_messages_count_too_and_the_servers_own_do_not(history):
    history.append([direct("bob", TEXT), direct("cy", TEXT), draft(TEXT)], ORIGIN)
    assert history.append([direct("bob", TEXT)], ORIGIN) == [QUOTA_EXCEEDED]
    assert len(append_texts(history, *[TEXT] * 5, sender=None)) == 5


def test_every_process_and_the_next_start_know_the_count(open_history, history):
    append_texts(history, TEXT, TEXT)
    other = open_history()
    append_texts(other, TEXT)
    assert history.append([draft("")], ORIGIN) == other.append([draft("")], ORIGIN) == [QUOTA_EXCEEDED]
    assert open_history().append([draft("")], ORIGIN) == [QUOTA_EXCEEDED]


def test_the_next_day_begins_anew_and_a_clock_that_is_behind_does_not(history, go_to):
    append_texts(history, TEXT, TEXT, TEXT)
    go_to(1)
    append_texts(history, TEXT, TEXT)
    go_to(0)  # another worker's clock, on which it is not midnight yet
    assert len(append_texts(history, TEXT)) == 1
    assert history.append([draft("")], ORIGIN) == [QUOTA_EXCEEDED]
    go_to(1)
    assert history.append([draft("")], ORIGIN) == [QUOTA_EXCEEDED]


def test_without_a_quota_nothing_is_counted(request, backend):
    if backend == "memory":
        return
    engine = make_engine(request.getfixturevalue("url"))
    history = SqlHistory(engine, run)
    append_texts(history, TEXT)
    with engine.begin() as connection:
        assert connection.exec_driver_sql("SELECT * FROM chat_usage").all() == []
    history.close()
    engine.dispose()


def test_several_processes_at_once_do_not_exceed_it(open_history, history):
    histories = (history, open_history())
    results = at_once(*(lambda one=one: one.append([draft(TEXT)], ORIGIN) for one in histories * 6))
    assert sum(isinstance(result, Stored) for (result,) in results) == 3
    assert texts(history.after(history.room("lobby").id, 0, 100)) == [TEXT] * 3


def test_far_from_the_quota_the_count_is_written_in_steps(request, backend):
    if backend == "memory":
        return
    engine = make_engine(request.getfixturevalue("url"))
    one, other = (SqlHistory(engine, run, store_quota=50_000_000) for _ in range(2))

    def written():
        with engine.begin() as connection:
            return dict(connection.exec_driver_sql("SELECT user_id, bytes FROM chat_usage").all())

    append_texts(one, *["x" * 1_000] * 10)
    assert written() == {}
    append_texts(one, *["x" * 10_000] * 6)
    assert written() == {ADA.id: 10 * 1_200 + 6 * 10_200}
    append_texts(other, *["x" * 10_000] * 7)
    assert written() == {ADA.id: 10 * 1_200 + 13 * 10_200}
    for history in (one, other):
        history.close()
    engine.dispose()


def test_two_processes_that_take_turns_keep_to_a_quota_of_many_steps(request, backend):
    if backend == "memory":
        return
    quota = 2_000_000
    engine = make_engine(request.getfixturevalue("url"))
    histories = [SqlHistory(engine, run, store_quota=quota) for _ in range(2)]
    size, stored = 10_000 + ROW_BYTES, 0
    for turn in range(2 * quota // size):
        (result,) = histories[turn % 2].append([draft("x" * 10_000)], ORIGIN)
        stored += isinstance(result, Stored)
    assert stored == quota // size
    for history in histories:
        history.close()
    engine.dispose()
