"""The rates of the JSON API: what they let through, what they remember."""

import pytest

from chat.rooms import rate as rates
from chat.rooms.rate import Rate
from chat.wire.errors import ChatError


class Clock:
    """Stands still until it is told to go on."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def rate(clock):
    return Rate(2.0, 3, clock)


def refused(rate, key):
    """Seconds to wait; 0 for a request that is let through."""
    try:
        rate.count(key)
    except ChatError as error:
        return error.retry_after
    return 0


def test_a_burst_then_so_many_a_second_for_each_key(rate, clock):
    assert [refused(rate, "ann") for _ in range(4)] == [0, 0, 0, 0.5]
    assert refused(rate, "bob") == 0
    clock.now = 0.5
    assert [refused(rate, "ann") for _ in range(2)] == [0, 0.5]


def test_the_error_names_itself(rate):
    for _ in range(3):
        rate.count("ann")
    with pytest.raises(ChatError, match="too_many_requests"):
        rate.count("ann")


def test_no_rate_and_no_key_count_nothing(rate):
    assert [refused(Rate(0, 1), "ann") for _ in range(5)] == [0] * 5
    assert [refused(rate, "") for _ in range(5)] == [0] * 5
    assert len(rate) == 0


def test_keys_are_not_remembered_without_bound(rate, monkeypatch):
    monkeypatch.setattr(rates, "MAX_BUCKETS", 10)
    for number in range(100):
        rate.count("busy")
        if not number % 3:
            rate._clock.now += 1.5
        rate.count(f"once-{number}")
    assert len(rate) == 10
    assert "busy" in rate._buckets
