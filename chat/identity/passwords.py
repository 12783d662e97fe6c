"""Password hashes: argon2id, off the event loop, and equally slow for users who do not exist."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any

import argon2

MIN_CHARS = 8
MAX_CHARS = 1024

# OWASP's parameters for argon2id with the least memory: a burst of log-ins in ten threads takes 190 MB. The library's
# default would take 640 MB, too much for a small machine.
_HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
# The hash of 32 random bytes that were discarded: no password matches it, and the check takes as long as any other.
_UNMATCHABLE = (
    "$argon2id$v=19$m=19456,t=2,p=1$pPDWuIbeh1zaMHfMOmYRRw$co6zsXi5jskxGZdYuRzlFp/gR0M6efzY+j4lBztw+PM"
)


class BadPassword(ValueError):
    """A password is not allowed: `code` is the reason, the text a sentence in English."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def check(password: str) -> None:
    """Raise BadPassword unless `password` is allowed: its length in characters is the only rule."""
    if len(password) < MIN_CHARS:
        raise BadPassword("password_short", f"A password has at least {MIN_CHARS} characters.")
    if len(password) > MAX_CHARS:
        raise BadPassword("password_long", f"A password has at most {MAX_CHARS} characters.")


class Passwords:
    """Hash and verify passwords; `run(fn, *args)` runs a function off the event loop and returns its result."""

    def __init__(self, run: Callable[..., Any]) -> None:
        self._run = run

    def hash(self, password: str) -> str:
        """Return the hash of a password that `check` has accepted."""
        return self._run(_HASHER.hash, _bytes(password))

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Return whether the password matches the hash. None (no such user) matches nothing and takes as long."""
        return self._run(_matches, password_hash or _UNMATCHABLE, password[: MAX_CHARS + 1])

    def needs_rehash(self, password_hash: str) -> bool:
        """Return whether the hash was made with other parameters than the current ones."""
        return _HASHER.check_needs_rehash(password_hash)


def _bytes(password: str) -> bytes:
    # Keyboards differ in composing an é (NIST SP 800-63B); JSON can contain half a surrogate pair.
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")


def _matches(password_hash: str, password: str) -> bool:
    try:
        return _HASHER.verify(password_hash, _bytes(password))
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False
