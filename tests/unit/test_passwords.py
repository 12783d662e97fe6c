"""Password hashes: right, wrong and missing ones, all equally slow."""

import time

import argon2
import pytest

from chat.identity import passwords, weak_passwords
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


@pytest.mark.parametrize(
    "password",
    [
        "密码密码密码密码",
        "x" * 1024,
        "correct horse",
        "correct horse battery",
        "j8#kQ9!mZ",
        "Passwort fürs Büro",
    ],
)
def test_allowed(password):
    check(password, "Ada Lovelace")


@pytest.mark.parametrize(
    "password",
    [
        "12345678",
        "password",
        "PassWord",
        "ｐａｓｓｗｏｒｄ",
        "password1",
        "Password2026!",
        "!!sunshine!!",
        "2026sunshine",
        "i love you",
        "q-w-e-r-t-y",
        "p@ssw0rd",
        "qwertyuiop",
        "monkeymonkey",
        "trustno1",
        "11111111",
    ],
)
def test_common_passwords_are_refused(password):
    with pytest.raises(BadPassword) as caught:
        check(password, "Ada Lovelace")
    assert caught.value.code == "password_common"


@pytest.mark.parametrize(
    ("password", "name"),
    [
        ("Ada Lovelace", "Ada Lovelace"),
        ("adalovelace", "Ada Lovelace"),
        ("ecalevol ada", "Ada Lovelace"),
        ("lovelace1815", "Ada Lovelace"),
        ("LOVELACE!!!", "Ada Lovelace"),
        ("ada19840101", "ada"),
        ("my-grace-9", "grace"),
        ("adalovel", "Ada Lovelace"),
        ("ｇｒａｃｅ１９０６", "grace"),
        ("gracegracegrace", "grace"),
        ("王小明19840101", "王小明"),
        ("Müller1984", "müller"),
    ],
)
def test_a_password_like_the_name_is_refused(password, name):
    with pytest.raises(BadPassword) as caught:
        check(password, name)
    assert caught.value.code == "password_name"


@pytest.mark.parametrize(
    ("password", "name"),
    [
        ("grace under pressure", "grace"),
        ("adamant granite", "ada"),
        ("xk2 bo 91 tt", "bo"),
        ("correct horse", ""),
        ("correct horse", "..."),
        ("!?%&/()=!?", "Ada Lovelace"),
        ("!?%a/()=!?", "Ada Lovelace"),
        ("小鸟飞过那座山的时候", "小"),
    ],
)
def test_a_name_within_a_longer_password_is_allowed(password, name):
    check(password, name)


def test_the_check_is_quick_for_any_text():
    check("warm " * 4)
    begun = time.process_time()
    for text in ("x" * 1024, "ab" * 512, "a\u0345\u0301" * 341, "\ufdfa" * 1024, "\ud800" * 1024):
        check(text, "name " * 50_000)
    assert time.process_time() - begun < 1


def test_without_the_list_the_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(weak_passwords, "find_spec", lambda name: None)
    weak_passwords._common.cache_clear()
    with pytest.raises(passwords.MissingArgon2, match="zxcvbn"):
        check("correct horse")


def test_the_same_password_typed_differently_is_the_same():
    assert passwords.is_same("caf\u00e9 cr\u00e8me", "cafe\u0301 cre\u0300me")
    assert not passwords.is_same("correct horse", "Correct horse")
