"""The search terms of messages: one tokeniser for all databases, and the queries made of its terms. No I/O.

Latin, Cyrillic and similar scripts are indexed by whole words, without case and diacritics. Scripts that are written
without spaces (Chinese, Japanese, Korean, Thai …) are indexed by bigrams: a run ABC gives the terms AB, BC, C. So "BC"
is found by one term, "ABC" as the phrase "AB BC", and "C" alone as a prefix. Every database stores the same terms:

- SQLite: a table `fts5(terms, content='', columnsize=0, tokenize='ascii')`, rowid = messages.pk, filled with
  `fts5_row(room_id, fts5_document(data))`. The tokenizer `ascii` treats every non-ASCII byte as part of a word,
  so it neither splits nor folds our terms.
- PostgreSQL: a column `terms tsvector` of the messages, filled with `tsvector_row(room_id, tsvector_literal(data))`,
  and a GIN index on it.

The room's term lets the full-text index itself intersect "in this room" with the searched words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from ..wire.normal_forms import JOINER, normalize

#: Characters of a normalised message that are indexed: as many as a tsvector has positions.
MAX_CHARS = 16_383
#: Characters of a decomposed message that are read: one character may stand for eighteen. Three parts make a
#: Korean syllable, and a letter with two accents, which are not indexed.
_MAX_DECOMPOSED = 3 * MAX_CHARS
#: Characters of a query that are read, and terms of it that are searched; the rest is ignored.
MAX_QUERY_CHARS, MAX_QUERY_TERMS = 1024, 64
#: A longer word is indexed in pieces: a PostgreSQL lexeme has less than 2 KB, and a character up to 4 bytes.
_PIECE = 255
#: A shorter word is not searched as a prefix: too many terms of an index start with it.
_SHORTEST_PREFIX = 2

#: Scripts without spaces: Thai and Lao, Burmese, Hangul, Khmer, Chinese and Japanese. The ranges are generous, because
#: characters in them that are no letters or digits have been removed before they are used.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\ua4cf\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
)
_UNSPACED += "\U00016fe0-\U00018dff\U0001aff0-\U0001b2ff\U00020000-\U0003ffff"
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]").match
_RUNS = re.compile(f"[{_UNSPACED}]+|[^{_UNSPACED} ]{{1,{_PIECE}}}")
_ASCII_WORDS = re.compile(f"[a-z0-9]{{1,{_PIECE}}}")

#: Combining classes of marks that a search ignores: Hebrew and Arabic points; accents above, below and through letters.
#: Marks of other classes are vowels and voicing, without which a word is a different word.
_POINTS, _ACCENTS = range(10, 37), range(200, 241)
#: Marks without a visible form.
_SELECTORS = re.compile("[\u034f\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]").match
_ZERO_WIDTH_SPACE = 0x200B


class Phrase(NamedTuple):
    """Terms that must follow one another; with `prefix`, the last one is a prefix of a term."""

    terms: tuple[str, ...]
    prefix: bool


def index_terms(text: str) -> list[str]:
    """Return the terms of `text` in order; a term's index in the list is its position."""
    if text.isascii():
        return _ASCII_WORDS.findall(text[:MAX_CHARS].lower())
    return [term for run in _runs(text) for term in _terms_of(run)]


def room_term(room_id: int) -> str:
    """Return the term that all messages of a room share. No text contains it, since § is part of no word."""
    return f"§{room_id}"


def fts5_document(text: str) -> str:
    """Return the text that an FTS5 table with `tokenize='ascii'` indexes as the terms of `text`: see fts5_row."""
    if text.isascii() and len(text) <= _PIECE:
        return text  # FTS5's tokenizer finds the same words
    return " ".join(index_terms(text))


def fts5_row(room_id: int, document: str) -> str:
    """Return what SQLite's index stores for a message; deleting it from the index needs the same text."""
    return f"{room_term(room_id)} {document}"


def fts5_query(text: str, room_ids: Sequence[int] = ()) -> str | None:
    """Return the MATCH expression for `text` in these rooms (none given: in all); None if `text` has no words."""
    phrases = parse(text)
    if not phrases:
        return None
    wanted = " AND ".join(f'"{" ".join(terms)}"' + " *" * prefix for terms, prefix in phrases)
    rooms = " OR ".join(f'"{room_term(room_id)}"' for room_id in room_ids)
    return f"({rooms}) AND {wanted}" if rooms else wanted


def tsvector_literal(text: str) -> str:
    """Return the terms of `text` with their positions as a tsvector literal of PostgreSQL: see tsvector_row."""
    # Terms contain no quotes or backslashes. PostgreSQL merges the positions of equal terms.
    return " ".join([f"'{term}':{position}" for position, term in enumerate(index_terms(text), 1)])


def tsvector_row(room_id: int, literal: str) -> str:
    """Return the tsvector literal that PostgreSQL stores for a message: the room's term, and those of its text."""
    return f"'{room_term(room_id)}' {literal}"


def tsquery(text: str, room_ids: Sequence[int] = ()) -> str | None:
    """Return the tsquery for `text` in these rooms (none given: in all); None if `text` has no words."""
    phrases = parse(text)
    if not phrases:
        return None
    wanted = " & ".join(f"({_followed(terms)}{':*' * prefix})" for terms, prefix in phrases)
    rooms = " | ".join(f"'{room_term(room_id)}'" for room_id in room_ids)
    return f"({rooms}) & {wanted}" if rooms else wanted


def matches(text: str, query: str) -> bool:
    """Return whether `query` finds `text`: the search of the history in memory, and the reference for the databases."""
    phrases = parse(query)
    terms = index_terms(text) if phrases else []
    return bool(phrases) and all(_occurs(phrase, terms) for phrase in phrases)


@lru_cache(maxsize=64)
def parse(query: str) -> tuple[Phrase, ...]:
    """Return the phrases of `query`, all of which must occur. A part without a space is one phrase: "3.14"."""
    words = [runs for word in query[:MAX_QUERY_CHARS].split() if (runs := list(_runs(word)))]
    phrases = [_phrase(runs, runs is words[-1]) for runs in words]
    return tuple(_first(dict.fromkeys(phrases), MAX_QUERY_TERMS))


def _phrase(runs: list[str], is_last: bool) -> Phrase:
    *inner, last = runs
    terms = [term for run in inner for term in _terms_of(run)]
    if not _IS_UNSPACED(last):
        return Phrase((*terms, last), is_last and len(last) >= _SHORTEST_PREFIX)
    if len(last) == 1:
        return Phrase((*terms, last), True)
    # The last character's own term is left out: in a text the run may continue.
    return Phrase((*terms, *_terms_of(last)[:-1]), False)


def _first(phrases: Iterable[Phrase], most: int) -> Iterator[Phrase]:
    """Yield phrases with `most` terms in all; the last phrase is cut to fit."""
    for terms, prefix in phrases:
        if len(terms) > most:
            prefix, terms = False, terms[:most]
        if terms:
            yield Phrase(terms, prefix)
        most -= len(terms)


def _runs(text: str) -> Iterator[str]:
    """Yield the words of `text` and its runs of unspaced characters, normalised."""
    if text.isascii():
        yield from _ASCII_WORDS.findall(text[:MAX_CHARS].lower())
    else:
        yield from _RUNS.findall(_normal(text[:MAX_CHARS])[:MAX_CHARS])


def _terms_of(run: str) -> list[str]:
    if not _IS_UNSPACED(run):
        return [run]
    return [run[at : at + 2] for at in range(len(run))]


def _occurs(phrase: Phrase, terms: list[str]) -> bool:
    *whole, last = phrase.terms
    span = len(whole)
    return any(
        (term.startswith(last) if phrase.prefix else term == last) and terms[at - span : at] == whole
        for at, term in enumerate(terms)
        if at >= span
    )


def _followed(terms: Iterable[str]) -> str:
    return " <-> ".join(f"'{term}'" for term in terms)


def _normal(text: str) -> str:
    """Return `text` without case, compatible forms and accents, and with a space for what is no part of a word."""
    folded = normalize("NFKD", text)[:_MAX_DECOMPOSED].casefold()
    # Marks may follow one another once what was between them is gone, so NFC divides their runs again.
    return normalize("NFC", normalize("NFKD", folded).translate(_CHARACTERS)).replace(JOINER, "")


class _Characters(dict[int, int | None]):
    """The `str.translate` table for a decomposed text: a character's replacement, None to delete it."""

    _MAX_CACHED = 1 << 14

    def __missing__(self, code: int) -> int | None:
        replacement = _replacement(code)
        if len(self) < self._MAX_CACHED:  # a client that sends all of Unicode must not fill the memory
            self[code] = replacement
        return replacement


def _replacement(code: int) -> int | None:
    char = chr(code)
    category = unicodedata.category(char)
    if category in {"Cf", "Me"}:
        return ord(" ") if code == _ZERO_WIDTH_SPACE else None
    if category[0] == "M":
        dropped = unicodedata.combining(char) in (*_POINTS, *_ACCENTS) or _SELECTORS(char)
        return None if dropped else code
    return code if category[0] in "LN" else ord(" ")


_CHARACTERS = _Characters()
