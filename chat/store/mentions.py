"""Who a message names: `@` and a user's name. No I/O; the caller knows who there is.

Names may hold spaces, and Chinese has none between words, so what follows an `@` is not cut where the name ends: every
beginning of it that could be a name is looked up, and the longest one that is a user's counts.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable

from ..identity.names import MAX_CHARS, name_key

#: Places of an `@` that are looked at in one message, and so users that it can name.
MAX_MENTIONS = 20

#: Finds users: {name_key: user id} of those keys that are users'.
Find = Callable[[Iterable[str]], dict[str, str]]


def mentioned(text: str, find: Find) -> list[str]:
    """Return the ids of the users that `text` names, each once, in order; `find` is asked once at most."""
    return mentioned_in([text], find)[0]


def mentioned_in(texts: Iterable[str], find: Find) -> list[list[str]]:
    """Return what `mentioned` would for each text; `find` is asked once for all of them, if at all."""
    places = [_places(text) if "@" in text else [] for text in texts]
    if not any(places):
        return [[]] * len(places)
    keys = {key for candidates in places for keys in candidates for key in keys}
    users = find(keys) if keys else {}
    return [_first_of_each(candidates, users) for candidates in places]


def _first_of_each(candidates: list[list[str]], users: dict[str, str]) -> list[str]:
    named = (next((users[key] for key in keys if key in users), None) for keys in candidates)
    return list(dict.fromkeys(id for id in named if id is not None))


def _places(text: str) -> list[list[str]]:
    """Return, for each `@` that can begin a mention, the keys of the names it may be followed by, longest first."""
    found: list[list[str]] = []
    at = text.find("@")
    while at >= 0 and len(found) < MAX_MENTIONS:
        # ada@example.com names nobody.
        if at == 0 or not _is_of_a_word(text[at - 1]):
            found.append(_keys(text[at + 1 : at + 2 + MAX_CHARS]))
        at = text.find("@", at + 1)
    return found


def _keys(follows: str) -> list[str]:
    """Return the keys of all beginnings of `follows` that end where a word does, longest first."""
    follows = follows.partition("@")[0]
    if follows[:1].isspace():
        return []
    ends = (end for end in range(min(len(follows), MAX_CHARS), 0, -1) if _may_end(follows, end))
    return list(dict.fromkeys(name_key(follows[:end]) for end in ends if not follows[end - 1].isspace()))


def _may_end(text: str, end: int) -> bool:
    return end == len(text) or not (_is_of_a_word(text[end - 1]) and _is_of_a_word(text[end]))


def _is_of_a_word(char: str) -> bool:
    """Tell whether `char` belongs to a word that spaces set off: a letter, digit or mark, but none of East Asia's."""
    if char.isascii():
        return char.isalnum() or char == "_"
    return unicodedata.category(char)[0] in "LMN" and not _is_east_asian(char)


def _is_east_asian(char: str) -> bool:
    return unicodedata.east_asian_width(char) in "WF"
