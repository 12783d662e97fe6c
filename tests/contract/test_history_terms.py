"""Where and when the databases' histories make the search terms of messages."""

import sqlite3
from contextlib import closing

import pytest

from chat.config import Settings
from chat.loop.pools import Pool
from chat.service.stores import Stores
from chat.store import terms
from chat.store.engine import make_engine
from chat.store.sql import SqlHistory
from tests.contract.drafts import ORIGIN, append_texts, draft, texts

pytestmark = pytest.mark.contract

#: Not ASCII, so that its terms are not simply its words.
TEXT = "hello wörld 今天晚上"


@pytest.fixture
def history(url):
    engine = make_engine(url)
    history = SqlHistory(engine, lambda function: function())
    yield history
    history.close()
    engine.dispose()


@pytest.fixture
def made(monkeypatch):
    """The texts whose terms are made from now on; `made.look()` is called at each."""

    class Made(list):
        look = staticmethod(lambda: None)

    made, index_terms = Made(), terms.index_terms

    def spy(text):
        made.look()
        made.append(text)
        return index_terms(text)

    monkeypatch.setattr(terms, "index_terms", spy)
    return made


def write_elsewhere(url):
    """Begin a write transaction in another connection; raise where somebody else is in one."""
    with closing(
        sqlite3.connect(url.removeprefix("sqlite:///"), timeout=0, isolation_level=None)
    ) as connection:
        connection.execute("BEGIN IMMEDIATE")


def test_messages_are_stored_and_their_terms_made_in_the_writers_thread(url, made):
    pools = []

    def run_in(pool, function, *args):
        pools.append(pool)
        try:
            return function(*args)
        finally:
            pools.pop()

    seen = []
    made.look = lambda: seen.append(list(pools))
    tables = Stores(lambda: url, Settings(), lambda function, *args: function(*args), run_in).open()
    tables.commit([draft(TEXT)], ORIGIN)
    assert made == [TEXT]
    assert seen == [[Pool.COMMIT]]
    tables.history.close()
    tables.history._db._engine.dispose()


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_terms_are_made_while_others_may_write(history, made, url):
    made.look = lambda: write_elsewhere(url)
    append_texts(history, TEXT)
    room = history.room("lobby")
    assert history.prune(room.id, 1 << 62) == 1
    assert made == [TEXT, TEXT]
    assert history.search("hello", [room.id], None, 10) == []


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_terms_are_made_before_a_connection_is_taken(history, made):
    held = []
    made.look = lambda: held.append(history._db._engine.pool.checkedout())
    append_texts(history, TEXT)
    assert held == [0]


def test_a_search_makes_no_terms_of_stored_messages(history, made):
    append_texts(history, *[TEXT] * 20)
    room = history.room("lobby")
    made.clear()
    for query in ("hello", "hel", "今天", "今", "hello wor"):
        assert len(history.search(query, [room.id], None, 5)) == 5
    assert made == []


def test_a_word_that_is_frequent_is_still_found_as_a_prefix(history):
    append_texts(history, "word", "words", "other", "wordless", "word")
    found = history.search("word", [history.room("lobby").id], None, 2)
    assert texts(found) == ["word", "wordless"]
