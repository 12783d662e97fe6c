"""Passwords that are guessed first: common ones, and those that are the user's name.

No I/O, but for reading the list once.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

from .names import SITE_MAX_CHARS, name_key

#: The least letters of a word that decides anything: below it, what surrounds the word is most of the password.
_WORD = 4
#: The least letters of a name; short names are part of many words. A Chinese name has two.
_NAME = 3
_CHINESE_NAME = 2


class MissingList(RuntimeError):
    """The list of common passwords is not installed: zxcvbn."""


def is_common(password: str) -> bool:
    """Return whether a password is among the 30,000 most common ones, or is one with digits or signs around it."""
    known, key = _common(), _key(password)
    word = key.strip("".join({char for char in key if not char.isalpha()}))
    bare = "".join(filter(str.isalnum, key))
    unit = bare[: (bare + bare).find(bare, 1)] if bare else ""
    return not known.isdisjoint({key, bare, unit}) or (len(word) >= _WORD and word in known)


def is_like_name(password: str, name: str) -> bool:
    """Return whether a password is the user's name or a word of it, but for fewer than four letters."""
    key, name = _letters_and_digits(password), name[:SITE_MAX_CHARS]
    for word in {name, *name.split()}:
        part = _letters_and_digits(word)
        if len(part) < (_NAME if part.isascii() else _CHINESE_NAME):
            continue
        if (len(key) >= _NAME and key in part) or any(
            _rest(key, shape) < _WORD for shape in (part, part[::-1]) if shape in key
        ):
            return True
    return False


def _rest(key: str, part: str) -> int:
    """Return how many letters a password has beside `part`."""
    return sum(map(str.isalpha, key.replace(part, "")))


def _key(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _letters_and_digits(text: str) -> str:
    return "".join(filter(str.isalnum, name_key(text)))


@cache
def _common() -> frozenset[str]:
    """Return the common passwords of zxcvbn; raise MissingList.

    The file of lists is executed without importing the package, which would keep all six lists, 14 MB, for ever.
    """
    package = find_spec("zxcvbn")
    if package is None or package.origin is None:
        raise MissingList("zxcvbn")
    spec = spec_from_file_location("_lists", Path(package.origin).with_name("frequency_lists.py"))
    assert spec is not None and spec.loader is not None  # a path that ends with .py has both
    lists = module_from_spec(spec)
    spec.loader.exec_module(lists)
    return frozenset(lists.FREQUENCY_LISTS["passwords"])
