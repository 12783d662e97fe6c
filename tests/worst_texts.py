"""Texts of which each character costs the most: `TEXTS` is {name: a function that returns one of n characters}."""

import itertools
import random
import sys
import unicodedata


def repeated(unit):
    return lambda n: "".join(itertools.islice(itertools.cycle(unit), n))


def thirds(*marks):
    """A letter, and one run of each mark: what was found in issue 13."""
    return lambda n: ("a" + "".join(mark * (n // len(marks) + 1) for mark in marks))[:n]


def shuffled(alphabet, before=""):
    return lambda n: (before + "".join(random.Random(13).choices(alphabet, k=n)))[:n]


MARKS = [char for char in map(chr, range(sys.maxunicode + 1)) if unicodedata.combining(char)]
#: Marks that a search keeps, of which there are many classes.
KEPT = [char for char in MARKS if not 200 <= unicodedata.combining(char) <= 240]
#: Vowel signs, nuktas and tone marks whose classes descend, so that each has to move to the front.
DESCENDING = (
    "\u0345\u0301\u0316\u0327\u0f74\u0f72\u0f71\u0ec8\u0eb8\u0e48\u0e38\u0c55\u094d\u3099\u093c\u0334"
)

TEXTS = {
    "three runs": thirds("\u0345", "\u0301", "\u0316"),
    "descending": shuffled(DESCENDING, "a"),
    "all marks": shuffled(MARKS, "a"),
    "kept marks": shuffled(KEPT, "a"),
    "marks only": shuffled(DESCENDING),
    "marks between what is dropped": repeated("\u0e48\u093c" * 14 + "\u200d"),
    "marks for two": repeated("\u0344\u0f81\u0f73\u0316"),
    "marks beyond the first plane": repeated("\U0001d165\U0001e8d0\U0001d167\U00011133"),
    "voiced marks of half width": repeated("\uff9e\uff9f\u0e48"),
    "letters with three marks": repeated("\u1f87\u0316\u0345"),
    "zalgo": repeated("e" + DESCENDING + "x" + DESCENDING[::-1]),
    "jamo": shuffled("\u1100\u1161\u11a8\u1102\u1175\u11c2"),
    "syllables": shuffled("각힣뷁한국"),
    "eighteen each": repeated("\ufdfa"),
    "eighteen each, in words": repeated("\ufdfa "),
    "squared words": repeated("㌀㍿㋿"),
    "mentions": repeated("@" + "㌀" * 33 + " "),
    "mentions of marks": repeated("@" + DESCENDING * 2 + " "),
    "only at signs": repeated(" @"),
    "casefold expands": repeated("\u0390ß\ufb03\u0149\u1fb7\u0130"),
    "bidirectional": repeated("\u202e\u2066אب\u2069\u202c"),
    "half surrogates": repeated("\ud800 \udfff "),
    "thai": repeated("ที่นี่ไม่มีช่องว่าง"),
    "chinese": shuffled("今天晚上我们去吃饭"),
    "plane two": repeated("\U00020000\U0002a6d6"),
    "families": repeated("👨\u200d👩\u200d👧\ufe0f"),
    "variation selectors": repeated("a\ufe0f\U000e0100"),
    "white space": repeated(" \u3000\u2003\t\n\u00a0"),
    "nothing but spaces": repeated(" "),
    "control characters": repeated("\x00\x1b\x7f\x85"),
    "digits": repeated("9"),
    "other digits": repeated("٣९９"),
    "backslashes": repeated('\\"'),
    "escapes of addresses": repeated("%e0%"),
    "short words": repeated("a b "),
    "one word": repeated("x"),
}
