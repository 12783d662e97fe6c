"""User names: which are allowed, which are equal, and which look alike.

No I/O. The rules are a subset of UTS #39: a name has one script (the East Asian ones mix with each other and with
Latin), and it contains nothing invisible and nothing that changes the direction of the text around it.
"""

from __future__ import annotations

import re
import unicodedata

from ..wire.normal_forms import normalize

#: Maximum length of a name in characters, after normalisation.
MAX_CHARS = 32

#: Maximum length of a name that a site gives to its own user; the API looks up no longer one.
SITE_MAX_CHARS = 250

#: Zero-width joiners are part of emoji and of some scripts; no other invisible character is.
_JOINERS = {0x200C: None, 0x200D: None}
_REFUSED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
#: Invisible characters of other categories: Default_Ignorable_Code_Point, the Braille blank, and replacement
#: characters.
INVISIBLE = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0\ufffc\ufffd\U0001d159"
)
#: Phones add these to emoji; they are removed without an error.
_VARIATION_SELECTORS = {0xFE0E: None, 0xFE0F: None}
#: Punctuation and symbols beyond ASCII mostly look like ASCII's. These do not, or names need them.
_MARKS = frozenset("·・’–、。「」『』〜" + "".join(map(chr, range(0x1F3FB, 0x1F400))))
_MOST_COMBINING = 3
#: What no database accepts: half a surrogate pair, and NUL, which PostgreSQL refuses.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

#: The scripts in common use today: UAX #31, table 5. The keys are the first words of their characters' Unicode names.
_SCRIPTS = {
    name: name
    for name in (
        "ARABIC ARMENIAN BENGALI CYRILLIC DEVANAGARI ETHIOPIC GEORGIAN GREEK GUJARATI GURMUKHI HEBREW KANNADA KHMER"
        " LAO LATIN MALAYALAM MYANMAR ORIYA SINHALA TAMIL TELUGU THAANA THAI TIBETAN"
    ).split()
} | {"ARABIC-INDIC": "ARABIC", "EXTENDED": "ARABIC"}
_EAST_ASIAN = ("CJK", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HANGUL", "BOPOMOFO")
_SCRIPTS |= dict.fromkeys(_EAST_ASIAN, "EAST ASIAN")
_COMMON = frozenset({"COMBINING", "MODIFIER"})
_MAY_MIX = frozenset({"LATIN", "EAST ASIAN"})

# Letters on the left look like the letters on the right (after Unicode's confusables.txt). A capital I looks like a
# small l, so both are one here. Otherwise case matters: a В looks like a B, a в does not look like a b.
_LOOKALIKES = (
    ("ɑᴄɡıɪɩǀIƖᴏꜱƽᴜʋᴠᴡʏᴢĸꞴƦ℮", "acgiiilllossuvvwyzkBRe"),  # within Latin
    (
        "асԁеҽһіꙇӏјорԛгѕѵѡԝхуүкАВСЕԌНІӀЈКМОРЅТѴԜХУҮЬ",
        "acdeehiiljopqrsvwwxyykABCEGHllJKMOPSTVWXYYb",
    ),  # Cyrillic
    ("αικϳοσρυνγΑΒΕϜΗΙͿΚΜϺΝΟΡΤΧΥΖ", "aikjoopuvyABEFHlJKMMNOPTXYZ"),  # Greek
    ("քցհոռօգզսաՕՏՍ", "fghnnoqquwOSU"),  # Armenian
    ("ჿყዐሀഠဝଠ", "oyOUooo"),  # Georgian, Ethiopic, Malayalam, Myanmar, Oriya
    (
        "ロエカーニタトハヘ丨〇ʼʻ’",
        "口工力一二夕卜八へlo'''",
    ),  # Katakana like Han, and letters that mix with Latin
)
_SHAPES = str.maketrans("".join(a for a, _ in _LOOKALIKES), "".join(b for _, b in _LOOKALIKES))


class BadName(ValueError):
    """A name is not allowed: `code` is the rule that it breaks, the text a sentence in English."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class NameTaken(ValueError):
    """Another user has the name, or one that looks like it."""

    code = "name_taken"

    def __init__(self, username: str) -> None:
        super().__init__(f"The name {username!r} is taken, or looks like one that is.")


def clean(raw: str) -> str:
    """Return `raw` as a user name in its normal form; raise BadName for one that is not allowed."""
    # Normalisation expands a text up to eighteenfold, and the text could be a megabyte.
    if len(raw) > 16 * MAX_CHARS:
        raise _too_long()
    name = _normal(raw).translate(_VARIATION_SELECTORS).strip()
    if len(name) > MAX_CHARS:
        raise _too_long()
    if not any(char.isalnum() for char in name):
        raise BadName("name_empty", "A name needs at least one letter or digit.")
    _check_characters(name)
    _check_scripts(name)
    return name


def check_site_name(name: str) -> None:
    """Raise BadName for a name that a site gave to one of its own users and that cannot be shown safely.

    The site decides what its users are called, so this refuses less than `clean`: control characters, characters that
    change the direction of text, and what no database accepts.
    """
    if len(name) > SITE_MAX_CHARS:
        raise BadName("name_too_long", f"A name has at most {SITE_MAX_CHARS} characters.")
    if not is_printable(name):
        raise BadName("name_characters", "A name cannot hold characters that are not printable.")
    if not any(char not in INVISIBLE and not char.isspace() for char in name.translate(_JOINERS)):
        raise BadName("name_empty", "A name needs at least one character that can be seen.")


def is_printable(text: str) -> bool:
    """Return whether a text has no control characters, and none that change the direction of the text around it."""
    return text.translate(_JOINERS).replace("\u00a0", " ").isprintable()


def name_key(name: str) -> str:
    """Return what two spellings of one name share: any case, any compatible form. Takes any text, refuses none."""
    return _UNSTORABLE.sub("\ufffd", _normal(_normal(name).strip().casefold()))


def skeleton(name: str) -> str:
    """Return a key that is the same for names that look alike."""
    # A combining dot on an i or an l looks like the dot that the letter has already.
    drawn = normalize("NFD", _normal(name).strip()).replace("I\u0307", "i").replace("i\u0307", "i")
    return drawn.translate(_SHAPES).casefold()


def _normal(text: str) -> str:
    return normalize("NFKC", text)


def _too_long() -> BadName:
    return BadName("name_too_long", f"A name has at most {MAX_CHARS} characters.")


def _check_characters(name: str) -> None:
    combining = 0
    for at, char in enumerate(name):
        category = unicodedata.category(char)
        if not _is_allowed(char, category):
            raise BadName("name_characters", f"A name cannot hold the character U+{ord(char):04X}.")
        if category == "Zs" and name[at - 1] == " ":
            raise BadName("name_spaces", "A name can have single spaces inside, and no other white space.")
        combining = combining + 1 if category[0] == "M" else 0
        if combining > _MOST_COMBINING or (combining and at == 0):
            raise BadName("name_characters", "A name cannot have that many marks on one letter.")


def _is_allowed(char: str, category: str) -> bool:
    if category in _REFUSED_CATEGORIES or char in INVISIBLE or 0xFE00 <= ord(char) <= 0xFE0F:
        return False
    if category == "Zs":
        return char == " "
    return category[0] not in "PS" or category == "So" or char.isascii() or char in _MARKS


def _check_scripts(name: str) -> None:
    scripts = {
        _script(char) for char in name if not char.isascii() and unicodedata.category(char)[0] in "LMN"
    }
    scripts |= {"LATIN" for char in name if char.isascii() and char.isalpha()}
    scripts.discard("")
    if len(scripts) > 1 and not scripts <= _MAY_MIX:
        raise BadName("name_scripts", "A name cannot mix letters of several alphabets, for they look alike.")


def _script(char: str) -> str:
    first = unicodedata.name(char, "").split(" ")[0]
    if first in _COMMON:
        return ""
    if first not in _SCRIPTS:
        raise BadName("name_characters", f"A name cannot hold the character U+{ord(char):04X}.")
    return _SCRIPTS[first]
