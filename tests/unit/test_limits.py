"""The token bucket of a user."""

import pytest

from chat.rooms import limits
from chat.rooms.limits import TokenBucket, UserRates


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


# -- across reconnects


def test_a_user_who_reconnects_has_the_bucket_of_before():
    rates = UserRates(rate=1, burst=2)
    bucket = rates.take_bucket("ann", 100.0)
    bucket.take(100.0)
    rates.keep_bucket("ann", bucket, 100.0)
    assert rates.take_bucket("bob", 100.0) is not bucket
    assert rates.take_bucket("ann", 100.5) is bucket
    assert rates.take_bucket("ann", 100.5) is not bucket  # it is the connected user's now


def test_only_buckets_that_are_not_full_are_kept():
    rates = UserRates(rate=1, burst=2)
    bucket = rates.take_bucket("ann", 100.0)
    rates.keep_bucket("ann", bucket, 100.0)
    assert rates.take_bucket("ann", 100.0) is not bucket


def test_buckets_that_have_filled_up_are_dropped_beyond_a_bound(monkeypatch):
    monkeypatch.setattr(limits, "MAX_KEPT_BUCKETS", 2)
    rates = UserRates(rate=1, burst=2)
    buckets = {}
    for number, name in enumerate(("ann", "bob", "cat")):
        now = 100.0 + 10 * number
        buckets[name] = rates.take_bucket(name, now)
        buckets[name].take(now)
        rates.keep_bucket(name, buckets[name], now)
    assert [rates.take_bucket(name, 120.0) is bucket for name, bucket in buckets.items()] == [
        False,
        False,
        True,
    ]


def test_without_a_rate_there_are_no_buckets():
    assert UserRates(rate=0, burst=2).take_bucket("ann", 100.0) is None


def test_a_flooding_user_is_blocked_for_a_time():
    rates = UserRates(rate=1, burst=2)
    assert rates.blocked_for("ann", 100.0) <= 0
    rates.block("ann", 5.0, 100.0)
    assert rates.blocked_for("ann", 102.0) == 3.0
    assert rates.blocked_for("bob", 102.0) <= 0
    assert rates.blocked_for("ann", 105.0) <= 0
