"""The runtime's signals: rows for users who connect."""

from types import SimpleNamespace

import pytest

from chat.runtime.signals import Signals
from chat.wire.envelope import Identity


class Later:
    """A hub's reactor and a job queue that run everything when the test says so."""

    def __init__(self):
        self.reactor = self
        self._calls = []

    def call_later(self, delay, function, *args):
        self._calls.append((function, args))

    def put_last(self, key, function, *args):
        self._calls.append((function, args))

    def run(self):
        while self._calls:
            function, args = self._calls.pop(0)
            function(*args)


@pytest.fixture
def later():
    return Later()


@pytest.fixture
def ensured():
    return []


@pytest.fixture
def signals(later, ensured):
    hooks = SimpleNamespace(receivers={"connect": {}}, ensure_users=lambda *users: ensured.append(users))
    return Signals(later, later, hooks, None)


def connect(signals, *identity):
    signals.connected(SimpleNamespace(user=Identity(*identity)))


def test_users_who_connect_together_get_their_rows_in_one_call(signals, later, ensured):
    connect(signals, "1", "ann")
    connect(signals, "2", "bob")
    later.run()
    assert ensured == [(Identity("1", "ann"), Identity("2", "bob"))]
    connect(signals, "3", "cat")
    later.run()
    assert ensured[1:] == [(Identity("3", "cat"),)]


@pytest.mark.parametrize("names", [("maiden", "married"), ("married", "maiden")])
def test_of_two_names_of_a_user_the_later_one_counts(signals, later, ensured, names):
    for name in names:
        connect(signals, "1", name)
    later.run()
    assert ensured == [(Identity("1", names[1]),)]
