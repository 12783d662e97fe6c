"""The words by which messages are found: one tokeniser for all stores, and the queries made of its terms. No I/O.

Latin, Cyrillic and the like are indexed by whole words, without case and diacritics. Scripts that are written without
spaces (Chinese, Japanese, Korean, Thai …) are indexed by pairs: a run ABC gives the terms AB, BC, C. So "BC" is found
by one term, "ABC" as the phrase "AB BC", and "C" alone by what begins with C. Every database keeps the same terms:

- SQLite: a table `fts5(terms, content='', columnsize=0, tokenize='ascii')`, rowid = messages.pk, filled with
  `f"{room_term(room_id)} {fts5_document(data)}"`. The tokenizer `ascii` takes every byte beyond ASCII as part of a
  word, so it splits and folds nothing that we made.
- PostgreSQL: a column `terms tsvector` of the messages, filled with `tsvector_literal(data, room_id)`, and a GIN index
  on it.

The room's own term makes the full-text index itself intersect "in this room" with what is looked for.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

#: Characters of a message (as normalised) by which it can be found: as many as a tsvector has positions.
MAX_CHARS = 16_383
#: Characters of a query that are read, and terms that are looked for: what comes after them is not asked for.
MAX_QUERY_CHARS, MAX_QUERY_TERMS = 1024, 64
#: A longer word is indexed in pieces: a lexeme of PostgreSQL has less than 2 KB, and a character up to 4 bytes.
_PIECE = 255
#: Of a shorter word nobody means the beginning, and an index has it in too many terms.
_SHORTEST_BEGINNING = 2

#: Written without spaces: Thai and Lao, Burmese, Hangul, Khmer, and what is Chinese and Japanese. The classes are
#: generous, for whatever in them is no letter or digit has gone before they are used.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\ua4cf\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
)
_UNSPACED += "\U00016fe0-\U00018dff\U0001aff0-\U0001b2ff\U00020000-\U0003ffff"
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]").match
_RUNS = re.compile(f"[{_UNSPACED}]+|[^{_UNSPACED} ]{{1,{_PIECE}}}")
_ASCII_WORDS = re.compile(f"[a-z0-9]{{1,{_PIECE}}}")

#: Combining classes of marks that a search does without: Hebrew and Arabic points; accents above, below and through.
#: The marks of other classes are vowels and voicing, without which a word is another word.
_POINTS, _ACCENTS = range(10, 37), range(200, 241)
#: Marks that show nothing.
_SELECTORS = re.compile("[\u034f\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]").match
_ZERO_WIDTH_SPACE = 0x200B


class Phrase(NamedTuple):
    """Terms that must follow one another; with `prefix`, the last one is only the beginning of a term."""

    terms: tuple[str, ...]
    prefix: bool


def index_terms(text: str) -> list[str]:
    """Return the terms by which `text` is found, in its order; a term's place in the list is its position."""
    if text.isascii():
        return _ASCII_WORDS.findall(text[:MAX_CHARS].lower())
    return [term for run in _runs(text) for term in _terms_of(run)]


def room_term(room_id: int) -> str:
    """Return the term that all messages of a room share; no text has it, for § is part of no word."""
    return f"§{room_id}"


def fts5_document(text: str) -> str:
    """Return what an FTS5 table with `tokenize='ascii'` indexes as the terms of `text`."""
    if text.isascii() and len(text) <= _PIECE:
        return text  # that tokenizer finds the same words as we do
    return " ".join(index_terms(text))


def fts5_query(text: str, room_ids: Sequence[int] = (), whole: bool = False) -> str | None:
    """Return the MATCH expression for `text`, in these rooms (none given: in all); None: nothing to look for.

    With `whole`, what may be the beginning of a longer word must be all of it: FTS5 gives out the newest of a term at
    once, and gathers all that begin with one before it gives out any.
    """
    phrases = parse(text)
    if not phrases:
        return None
    wanted = " AND ".join(f'"{" ".join(terms)}"' + " *" * (prefix and not whole) for terms, prefix in phrases)
    rooms = " OR ".join(f'"{room_term(room_id)}"' for room_id in room_ids)
    return f"({rooms}) AND {wanted}" if rooms else wanted


def tsvector_literal(text: str, room_id: int | None = None) -> str:
    """Return the terms of `text` and their positions (and the room's term) as PostgreSQL reads a tsvector."""
    # No term has a quote or a backslash in it, and it is PostgreSQL that gathers the positions of equal ones.
    words = " ".join([f"'{term}':{position}" for position, term in enumerate(index_terms(text), 1)])
    return words if room_id is None else f"'{room_term(room_id)}' {words}"


def tsquery(text: str, room_ids: Sequence[int] = ()) -> str | None:
    """Return the tsquery for `text`, in these rooms (none given: in all); None: nothing to look for."""
    phrases = parse(text)
    if not phrases:
        return None
    wanted = " & ".join(f"({_followed(terms)}{':*' * prefix})" for terms, prefix in phrases)
    rooms = " | ".join(f"'{room_term(room_id)}'" for room_id in room_ids)
    return f"({rooms}) & {wanted}" if rooms else wanted


def matches(text: str, query: str) -> bool:
    """Tell whether `text` is found by `query`: the search of the store in memory, and what the others must say."""
    phrases = parse(query)
    terms = index_terms(text) if phrases else []
    return bool(phrases) and all(_occurs(phrase, terms) for phrase in phrases)


@lru_cache(maxsize=64)
def parse(query: str) -> tuple[Phrase, ...]:
    """Return the phrases of `query`, all of which must occur. What has no space inside is one phrase: "3.14"."""
    words = [runs for word in query[:MAX_QUERY_CHARS].split() if (runs := list(_runs(word)))]
    phrases = [_phrase(runs, runs is words[-1]) for runs in words]
    return tuple(_first(dict.fromkeys(phrases), MAX_QUERY_TERMS))


def _phrase(runs: list[str], is_last: bool) -> Phrase:
    *inner, last = runs
    terms = [term for run in inner for term in _terms_of(run)]
    if not _IS_UNSPACED(last):
        return Phrase((*terms, last), is_last and len(last) >= _SHORTEST_BEGINNING)
    if len(last) == 1:
        return Phrase((*terms, last), True)
    # Its last character alone is left out: in a text the run may go on.
    return Phrase((*terms, *_terms_of(last)[:-1]), False)


def _first(phrases: Iterable[Phrase], most: int) -> Iterator[Phrase]:
    """Yield the phrases up to so many terms; of the one that goes beyond, its beginning."""
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
    """Return `text` without case, compatible forms and accents, and a space for whatever is no part of a word."""
    folded = unicodedata.normalize("NFKD", text).casefold()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKD", folded).translate(_CHARACTERS))


class _Characters(dict[int, int | None]):
    """What becomes of each character of a decomposed text, as `str.translate` asks for it; None: it is left out."""

    _MOST_KEPT = 1 << 14

    def __missing__(self, code: int) -> int | None:
        becomes = _becomes(code)
        if len(self) < self._MOST_KEPT:  # who sends all of Unicode shall not fill the memory
            self[code] = becomes
        return becomes


def _becomes(code: int) -> int | None:
    char = chr(code)
    category = unicodedata.category(char)
    if category in {"Cf", "Me"}:
        return ord(" ") if code == _ZERO_WIDTH_SPACE else None
    if category[0] == "M":
        dropped = unicodedata.combining(char) in (*_POINTS, *_ACCENTS) or _SELECTORS(char)
        return None if dropped else code
    return code if category[0] in "LN" else ord(" ")


_CHARACTERS = _Characters()
