"""Password hashes: argon2id, off the event loop, and equally slow for users who do not exist."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from ..wire.normal_forms import normalize
from . import weak_passwords

if TYPE_CHECKING:
    from argon2 import PasswordHasher

MIN_CHARS = 8
MAX_CHARS = 1024

#: A site with users of its own hashes their passwords itself, and need not install argon2.
NO_ARGON2 = 'Passwords need the packages argon2-cffi and zxcvbn: pip install "flask-chat[passwords]"'
# The hash of 32 random bytes that were discarded: no password matches it, and the check takes as long as any other.
_UNMATCHABLE = (
    "$argon2id$v=19$m=19456,t=2,p=1$pPDWuIbeh1zaMHfMOmYRRw$co6zsXi5jskxGZdYuRzlFp/gR0M6efzY+j4lBztw+PM"
)


class MissingArgon2(RuntimeError):
    """Passwords cannot be hashed or checked: the text says what to install."""


class BadPassword(ValueError):
    """A password is not allowed: `code` is the reason, the text a sentence in English."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def check(password: str, username: str = "") -> None:
    """Raise BadPassword unless `password` is allowed for a user of this name.

    Its length in characters counts, and that it is not among those that are guessed first; no mixture of characters is
    asked for (NIST SP 800-63B). Raises MissingArgon2 where the list of common passwords is not installed.
    """
    if len(password) < MIN_CHARS:
        raise BadPassword("password_short", f"A password has at least {MIN_CHARS} characters.")
    if len(password) > MAX_CHARS:
        raise BadPassword("password_long", f"A password has at most {MAX_CHARS} characters.")
    if weak_passwords.is_like_name(password, username):
        raise BadPassword(
            "password_name", "A password must not be the name, or the name and a few characters."
        )
    try:
        if weak_passwords.is_common(password):
            raise BadPassword(
                "password_common", "This password is among the first that are guessed. Choose another."
            )
    except weak_passwords.MissingList as error:
        raise MissingArgon2(NO_ARGON2) from error


def is_same(one: str, other: str) -> bool:
    """Return whether two passwords count as one and the same."""
    return _bytes(one) == _bytes(other)


class Passwords:
    """Hash and verify passwords; `run(fn, *args)` runs a function off the event loop and returns its result.

    Raises MissingArgon2 where argon2-cffi is not installed.
    """

    def __init__(self, run: Callable[..., Any]) -> None:
        self._run = run
        self._hasher = _hasher()

    def hash(self, password: str) -> str:
        """Return the hash of a password that `check` has accepted."""
        return self._run(_hash, password)

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Return whether the password matches the hash. None (no such user) matches nothing and takes as long."""
        return self._run(_matches, password_hash or _UNMATCHABLE, password[: MAX_CHARS + 1])

    def needs_rehash(self, password_hash: str) -> bool:
        """Return whether the hash was made with other parameters than the current ones."""
        return self._hasher.check_needs_rehash(password_hash)


@cache
def _hasher() -> PasswordHasher:
    try:
        from argon2 import PasswordHasher
    except ModuleNotFoundError as error:
        raise MissingArgon2(NO_ARGON2) from error
    # OWASP's parameters for argon2id with the least memory: a burst of log-ins in ten threads takes 190 MB. The
    # library's default would take 640 MB, too much for a small machine.
    return PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


def _bytes(password: str) -> bytes:
    # Keyboards differ in composing an é (NIST SP 800-63B); JSON can contain half a surrogate pair.
    return normalize("NFKC", password).encode("utf-8", "surrogatepass")


def _hash(password: str) -> str:
    return _hasher().hash(_bytes(password))


def _matches(password_hash: str, password: str) -> bool:
    from argon2.exceptions import InvalidHash, VerificationError

    try:
        return _hasher().verify(password_hash, _bytes(password))
    except (VerificationError, InvalidHash):
        return False
