"""Password hashes: right, wrong and missing ones, all equally slow."""

import time

import argon2
import pytest

from chat.identity import passwords
from chat.identity.passwords import BadPassword, Passwords, check


class Runner:
    """Runs functions in this thread and counts them, in place of the thread pool."""

    def __init__(self):
        self.calls = 0

    def __call__(self, function, *args):
        self.calls += 1
        return function(*args)


@pytest.fixture
def runner():
    return Runner()


@pytest.fixture
def hasher(runner):
    return Passwords(runner)


def test_hash_and_verify(hasher):
    stored = hasher.hash("correct horse")
    assert stored.startswith("$argon2id$") and "correct" not in stored
    assert hasher.verify(stored, "correct horse")
    assert not hasher.verify(stored, "correct horsf")
    assert stored != hasher.hash("correct horse")


def test_hashing_runs_off_the_event_loop(hasher, runner):
    hasher.verify(hasher.hash("correct horse"), "x")
    hasher.verify(None, "x")
    assert runner.calls == 3


def test_no_password_matches_a_missing_user(hasher):
    for guess in ("", "password", "x" * 100):
        assert hasher.verify(None, guess) is False


def test_a_missing_user_takes_as_long_as_an_existing_one(hasher):
    stored = hasher.hash("correct horse")

    def fastest(password_hash):
        times = []
        for _ in range(5):
            begun = time.perf_counter()
            hasher.verify(password_hash, "wrong horse")
            times.append(time.perf_counter() - begun)
        return min(times)

    assert 0.25 < fastest(None) / fastest(stored) < 4


def test_a_hash_of_another_kind_matches_nothing(hasher):
    assert not hasher.verify("pbkdf2:sha256:1$salt$00", "x")


def test_needs_rehash(hasher):
    assert not hasher.needs_rehash(hasher.hash("correct horse"))
    assert not hasher.needs_rehash(passwords._UNMATCHABLE)
    assert hasher.needs_rehash(argon2.PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash("x"))


def test_all_characters_of_a_long_password_count(hasher):
    stored = hasher.hash("x" * 1024)
    assert hasher.verify(stored, "x" * 1024)
    assert not hasher.verify(stored, "x" * 1023)
    assert not hasher.verify(stored, "x" * 1_000_000)


def test_a_password_is_the_same_on_every_keyboard(hasher):
    assert hasher.verify(hasher.hash("caf\u00e9 cr\u00e8me"), "cafe\u0301 cre\u0300me")


@pytest.mark.parametrize("odd", ["\ud800 half a pair", "\x00 and then", "\x00 and else"])
def test_unusual_characters_count(hasher, odd):
    stored = hasher.hash(odd)
    assert hasher.verify(stored, odd)
    assert not hasher.verify(stored, odd[:1])


@pytest.mark.parametrize(("password", "code"), [("1234567", "password_short"), ("x" * 1025, "password_long")])
def test_refused(password, code):
    with pytest.raises(BadPassword) as caught:
        check(password)
    assert caught.value.code == code


@pytest.mark.parametrize("password", ["12345678", "密码密码密码密码", "x" * 1024])
def test_allowed(password):
    check(password)
