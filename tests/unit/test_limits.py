"""The token bucket of a user."""

import pytest

from chat.rooms.limits import TokenBucket


def test_a_burst_passes_and_then_one_each_interval():
    bucket = TokenBucket(rate=10, burst=3, now=100.0)
    assert [bucket.take(100.0) for _ in range(3)] == [0, 0, 0]
    assert bucket.take(100.0) == pytest.approx(0.1)
    assert bucket.take(100.05) == pytest.approx(0.05)
    assert bucket.take(100.1001) == 0
    assert bucket.take(100.1001) > 0


def test_a_refusal_takes_no_token():
    bucket = TokenBucket(rate=1, burst=1, now=0.0)
    assert bucket.take(0.0) == 0
    for _ in range(50):
        assert bucket.take(0.5) == pytest.approx(0.5)
    assert bucket.take(1.0) == 0


def test_the_returned_wait_is_enough():
    bucket, now = TokenBucket(rate=3, burst=1, now=0.0), 0.0
    for _ in range(20):
        assert bucket.take(now) == 0
        now += bucket.take(now) + 1e-9


def test_idle_time_refills_at_most_the_burst():
    bucket = TokenBucket(rate=10, burst=3, now=0.0)
    assert [bool(bucket.take(1_000.0)) for _ in range(4)] == [False, False, False, True]


def test_refusals_are_counted_until_one_passes():
    bucket = TokenBucket(rate=1, burst=1, now=0.0)
    bucket.take(0.0)
    for count in (1, 2, 3):
        bucket.take(0.1)
        assert bucket.refused == count
    bucket.take(1.1)
    assert bucket.refused == 0
