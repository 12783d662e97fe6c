"""How many searches may be under way."""

import threading
from types import SimpleNamespace

import pytest

from chat.service import searches
from chat.service.searches import Searches
from chat.store.history import SearchTooLong
from chat.wire.errors import ChatError
from tests.waiting import until


class SlowHistory:
    """Each search waits until `finish` is set."""

    def __init__(self):
        self.begun = 0
        self.finish = threading.Event()

    def search(self, text, room_ids, before_pk, limit):
        self.begun += 1
        if text == "long":
            raise SearchTooLong
        assert self.finish.wait(20)
        return [text]


@pytest.fixture
def history():
    return SlowHistory()


@pytest.fixture
def under_way(history):
    """under_way(*user_ids) begins a search of each and waits until all have begun; all end with the test."""
    served = Searches(SimpleNamespace(open=lambda: SimpleNamespace(history=history)))
    threads = []

    def begin(*user_ids):
        for user_id in user_ids:
            threads.append(threading.Thread(target=served.search, args=(user_id, "tea", [1], None, 10)))
            threads[-1].start()
        until(lambda: history.begun == len(threads))
        return served

    yield begin
    history.finish.set()
    for thread in threads:
        thread.join()


def refused(served, user_id):
    with pytest.raises(ChatError) as caught:
        served.search(user_id, "tea", [1], None, 10)
    return caught.value.code, caught.value.retry_after


def test_the_third_of_a_user_is_refused_and_another_users_is_not(under_way, history):
    served = under_way("ann", "ann", "bob")
    assert refused(served, "ann") == ("search_busy", 1.0)
    history.finish.set()
    assert served.search("bob", "tea", [1], None, 10) == ["tea"]
    until(lambda: not served._under_way)
    assert served.search("ann", "tea", [1], None, 10) == ["tea"]


def test_all_users_together_are_bounded(under_way, monkeypatch):
    monkeypatch.setattr(searches, "ALL", 4)
    served = under_way("ann", "ann", "bob", "cat")
    assert refused(served, "dan") == ("search_busy", 1.0)


def test_a_search_that_takes_too_long_gives_its_place_back(under_way):
    served = under_way()
    for _ in range(5):
        with pytest.raises(ChatError, match="search_too_long"):
            served.search("ann", "long", [1], None, 10)
    assert not served._under_way
