"""Mentions in a message: `@` and a user's name. No I/O: the caller looks up users.

Names may contain spaces, and Chinese text has none between words, so nothing marks the end of a name after an `@`.
Every prefix of the text after it that could be a name is looked up, and the longest one that is a user's name counts.
A name that fits several users mentions all of them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from itertools import accumulate

from ..identity.names import MAX_CHARS, name_key
from ..wire.envelope import Identity
from ..wire.normal_forms import normalize

#: Occurrences of `@` that are read in one message, and so the number of names that it can mention.
MAX_MENTIONS = 20
#: Characters of a mentioned name once it is normalised: one character may stand for eighteen.
_MAX_EXPANDED = 2 * MAX_CHARS

#: Looks up users: {name_key: users} of the keys that belong to users.
Find = Callable[[Iterable[str]], dict[str, list[Identity]]]
#: For each `@` of a text that can start a mention, the keys of the names that may follow it, longest first.
Candidates = list[list[str]]


def mentioned(text: str, find: Find) -> list[str]:
    """Return the ids of the users whom `text` mentions, each once, in order. Calls `find` once at most."""
    return choose_mentioned([find_candidates(text)], find)[0]


def choose_mentioned(candidates: list[Candidates], find: Find) -> list[list[str]]:
    """Return the result of `mentioned` for each text, given its candidates. Calls `find` once at most, for all."""
    if not any(candidates):
        return [[]] * len(candidates)
    keys = {key for mentions in candidates for keys in mentions for key in keys}
    users = find(keys) if keys else {}
    return [_longest_matches(mentions, users) for mentions in candidates]


def _longest_matches(mentions: list[list[str]], users: dict[str, list[Identity]]) -> list[str]:
    matches = (next((users[key] for key in keys if key in users), []) for keys in mentions)
    return list(dict.fromkeys(user.id for match in matches for user in match))


def find_candidates(text: str) -> Candidates:
    """Return the candidates of `text`. This is the work that grows with the text: do it before a transaction."""
    found: Candidates = []
    at = text.find("@")
    while at >= 0 and len(found) < MAX_MENTIONS:
        # ada@example.com is no mention.
        if at == 0 or not _is_word_char(text[at - 1]):
            found.append(_keys(text[at + 1 : at + 2 + MAX_CHARS]))
        at = text.find("@", at + 1)
    return found


def _keys(follows: str) -> list[str]:
    """Return the keys of all prefixes of `follows` that end at a word boundary, longest first."""
    follows = _not_too_long(follows.partition("@")[0])
    if follows[:1].isspace():
        return []
    ends = (end for end in range(min(len(follows), MAX_CHARS), 0, -1) if _is_boundary(follows, end))
    return list(dict.fromkeys(name_key(follows[:end]) for end in ends if not follows[end - 1].isspace()))


def _not_too_long(follows: str) -> str:
    """Return what of `follows` has no more characters than a name, once it is normalised."""
    if follows.isascii():
        return follows
    lengths = accumulate(max(1, len(normalize("NFKC", char))) for char in follows)
    return follows[: sum(length <= _MAX_EXPANDED for length in lengths)]


def _is_boundary(text: str, end: int) -> bool:
    return end == len(text) or not (_is_word_char(text[end - 1]) and _is_word_char(text[end]))


def _is_word_char(char: str) -> bool:
    """Return whether `char` is a letter, digit or mark of a script that separates words by spaces."""
    if char.isascii():
        return char.isalnum() or char == "_"
    return unicodedata.category(char)[0] in "LMN" and not _is_east_asian(char)


def _is_east_asian(char: str) -> bool:
    return unicodedata.east_asian_width(char) in "WF"
