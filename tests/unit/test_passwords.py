"""Password hashes: right, wrong, none, and all equally slow."""

import time

import argon2
import pytest

from chat.identity import passwords
from chat.identity.passwords import BadPassword, Passwords, check


class Runner:
    """Runs functions here and counts them, as the thread pool would run them elsewhere."""

    def __init__(self):
        self.calls = 0

    def __call__(self, function, *args):
        self.calls += 1
        return function(*args)


@pytest.fixture
def runner():
    return Runner()


@pytest.fixture
def keeper(runner):
    return Passwords(runner)


def test_hash_and_verify(keeper):
    stored = keeper.hash("correct horse")
    assert stored.startswith("$argon2id$") and "correct" not in stored
    assert keeper.verify(stored, "correct horse")
    assert not keeper.verify(stored, "correct horsf")
    assert stored != keeper.hash("correct horse")


def test_all_the_slow_work_is_run_elsewhere(keeper, runner):
    keeper.verify(keeper.hash("correct horse"), "x")
    keeper.verify(None, "x")
    assert runner.calls == 3


def test_nobody_has_no_password(keeper):
    for guess in ("", "password", "x" * 100):
        assert keeper.verify(None, guess) is False


def test_nobody_takes_as_long_as_somebody(keeper):
    stored = keeper.hash("correct horse")

    def fastest(password_hash):
        times = []
        for _ in range(5):
            begun = time.perf_counter()
            keeper.verify(password_hash, "wrong horse")
            times.append(time.perf_counter() - begun)
        return min(times)

    assert 0.25 < fastest(None) / fastest(stored) < 4


def test_a_hash_of_another_kind_is_no_match(keeper):
    assert not keeper.verify("pbkdf2:sha256:1$salt$00", "x")


def test_needs_rehash(keeper):
    assert not keeper.needs_rehash(keeper.hash("correct horse"))
    assert not keeper.needs_rehash(passwords._UNMATCHABLE)
    assert keeper.needs_rehash(argon2.PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash("x"))


def test_a_long_password_counts_to_its_end(keeper):
    stored = keeper.hash("x" * 1024)
    assert keeper.verify(stored, "x" * 1024)
    assert not keeper.verify(stored, "x" * 1023)
    assert not keeper.verify(stored, "x" * 1_000_000)


def test_a_password_is_the_same_on_every_keyboard(keeper):
    assert keeper.verify(keeper.hash("caf\u00e9 cr\u00e8me"), "cafe\u0301 cre\u0300me")


@pytest.mark.parametrize("odd", ["\ud800 half a pair", "\x00 and then", "\x00 and else"])
def test_odd_characters_count(keeper, odd):
    stored = keeper.hash(odd)
    assert keeper.verify(stored, odd)
    assert not keeper.verify(stored, odd[:1])


@pytest.mark.parametrize(("password", "code"), [("1234567", "password_short"), ("x" * 1025, "password_long")])
def test_refused(password, code):
    with pytest.raises(BadPassword) as caught:
        check(password)
    assert caught.value.code == code


@pytest.mark.parametrize("password", ["12345678", "密码密码密码密码", "x" * 1024])
def test_allowed(password):
    check(password)
