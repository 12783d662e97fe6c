"""Unicode normal forms in linear time, for every text that comes in. No I/O.

`unicodedata.normalize` sorts the combining marks that follow a letter by insertion: 10,000 of them take 0.2 s, in which
no other thread of the process runs. So a run of marks is divided first, as the Stream-Safe Text Process of UAX #15 (D4)
does: U+034F, which is invisible, is inserted after each 30 of them. No language writes that many.

What is stored and delivered as a message's text is what its sender wrote; only what is compared is normalised.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from typing import Literal

Form = Literal["NFC", "NFD", "NFKC", "NFKD"]

#: Marks in a row that are sorted at most.
MAX_MARKS = 30
#: COMBINING GRAPHEME JOINER: invisible, and marks are not sorted across it.
JOINER = "\u034f"

#: Where the marks of the first plane are: the ranges between them hold Chinese, Korean and private characters.
_BLOCKS = ((0x0300, 0x3100), (0xA000, 0xAC00), (0xFB00, 0x10000))
#: Fewer characters than this can hold no more than MAX_MARKS marks: one stands for two at most, and the letter before
#: them for three.
_SHORTEST = 14


def normalize(form: Form, text: str) -> str:
    """Return `text` in this normal form; marks beyond 30 in a row are not reordered with those before them."""
    return text if text.isascii() else unicodedata.normalize(form, stream_safe(text))


def stream_safe(text: str) -> str:
    """Return `text` in Stream-Safe Text Format: with U+034F after each 30 marks that follow one another."""
    return text if text.isascii() else _long_runs().sub(_divide, text)


@cache
def _long_runs() -> re.Pattern[str]:
    """Return the pattern of what may be a long run of marks.

    It takes every character of the second plane for a mark: `re` is slow with classes of many ranges in it.
    """
    codes = (code for begin, end in _BLOCKS for code in range(begin, end))
    marks = "".join(char for char in map(chr, codes) if _leading(char))
    return re.compile(f"[{marks}\U00010000-\U0001ffff]{{{_SHORTEST},}}")


#: Marks that stand for two, and what may be no mark at all.
_IRREGULAR = re.compile("[\u0344\u0f73\u0f75\u0f81\U00010000-\U0001ffff]").search


def _divide(run: re.Match[str]) -> str:
    begin, marks = run.start(), run[0]
    count = _trailing(run.string[begin - 1]) if begin else 0
    if _IRREGULAR(marks):
        return _divide_irregular(marks, count)
    first = MAX_MARKS - count
    rest = range(first, len(marks), MAX_MARKS)
    return JOINER.join([marks[:first], *(marks[at : at + MAX_MARKS] for at in rest)])


def _divide_irregular(text: str, count: int) -> str:
    parts: list[str] = []
    for char in text:
        leading = _leading(char)
        if not leading:
            count = _trailing(char)
        elif count + leading > MAX_MARKS:
            parts.append(JOINER)
            count = leading
        else:
            count += leading
        parts.append(char)
    return "".join(parts)


@lru_cache(maxsize=2048)  # a client that sends all of Unicode must not fill the memory
def _leading(char: str) -> int:
    """Return how many marks `char` begins with when it is decomposed; one that begins with a mark has nothing else."""
    decomposed = unicodedata.normalize("NFKD", char)
    return len(decomposed) if unicodedata.combining(decomposed[0]) else 0


@lru_cache(maxsize=2048)
def _trailing(char: str) -> int:
    """Return how many marks `char` ends with when it is decomposed."""
    count = 0
    for part in reversed(unicodedata.normalize("NFKD", char)):
        if not unicodedata.combining(part):
            break
        count += 1
    return count
