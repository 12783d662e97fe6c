"""The sliding window: what it lets through, what it refuses, what it forgets."""

import pytest

from accounts import throttle
from accounts.throttle import Throttle


class Clock:
    """Stands still until it is told to go on."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def window(clock):
    return Throttle(3, 60, clock)


def test_lets_so_many_through_and_says_how_long_to_wait(window, clock):
    assert [window.take("ada") for _ in range(3)] == [0, 0, 0]
    clock.now = 10.5
    assert window.take("ada") == 50


def test_refused_tries_do_not_count(window, clock):
    for second in range(60):
        clock.now = second
        window.take("ada")
    clock.now = 60
    assert window.take("ada") == 0


def test_the_window_slides(window, clock):
    for second in (0, 30, 50):
        clock.now = second
        window.take("ada")
    clock.now = 60
    assert window.take("ada") == 0
    assert window.take("ada") == 30


def test_keys_are_counted_apart(window):
    for _ in range(4):
        window.take("ada")
    assert window.take("bob") == 0


def test_a_good_try_is_given_back(window):
    for _ in range(10):
        assert window.take("ada") == 0
        window.give_back("ada")
    window.give_back("ada")
    assert [window.take("ada") for _ in range(4)] == [0, 0, 0, 60]


def test_what_is_held_is_bounded(window, monkeypatch):
    monkeypatch.setattr(throttle, "MAX_KEYS", 10)
    for _ in range(3):
        window.take("ada")
    for number in range(9):
        window.take(f"user{number}")
    assert window.take("ada") > 0  # tried just now, so it is not the one to forget
    window.take("one more")
    assert len(window._times) == 10
    assert "user0" not in window._times
    assert window.take("ada") > 0
