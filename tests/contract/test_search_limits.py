"""A search that takes too long ends, and leaves nothing behind that concerns the next one."""

import random

import pytest

from chat.store.history import SearchTooLong
from chat.store.sql import SqlHistory
from tests.contract.drafts import append_texts, texts
from tests.contract.threads import run

pytestmark = pytest.mark.contract

#: Every text holds every pair of these characters, so that an index cannot tell which of them hold a phrase.
CHARACTERS = "北京天"


def long_text(seed, length):
    return "".join(random.Random(seed).choices(CHARACTERS, k=length))


PHRASE = long_text(1, 60)


@pytest.fixture
def filled(history, lobby):
    """A history with long messages, none of which holds the phrase."""
    found = [long_text(seed, 4_000) for seed in range(2, 12)]
    for _ in range(20):
        append_texts(history, *found)
    append_texts(history, "tea")
    return history


def test_a_long_search_ends_and_the_next_one_is_complete(filled, lobby, engine):
    limited = SqlHistory(engine, run, search_seconds=0.001)
    for _ in range(3):
        with pytest.raises(SearchTooLong):
            limited.search(PHRASE, [lobby.id], None, 10)
    append_texts(limited, "more tea")
    assert texts(filled.search("tea", [lobby.id], None, 10)) == ["more tea", "tea"]
    assert filled.search(PHRASE, [lobby.id], None, 10) == []
    unhurried = SqlHistory(engine, run, search_seconds=60.0)
    assert unhurried.search(PHRASE, [lobby.id], None, 10) == []
    assert texts(unhurried.search("tea", [lobby.id], None, 10)) == ["more tea", "tea"]
    limited.close()


def test_searches_run_where_the_history_is_told_to_run_them(filled, lobby, engine):
    ran = []

    def run_search(function):
        ran.append(function)
        return function()

    history = SqlHistory(engine, run, run_search=run_search)
    assert texts(history.search("tea", [lobby.id], None, 10)) == ["tea"]
    assert history.room("lobby") is not None and len(ran) == 1
