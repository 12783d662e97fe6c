"""What a database can keep of a text. No I/O."""

from __future__ import annotations

import re

#: What no database takes: half a surrogate pair, and PostgreSQL no NUL.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    """Return `text` with a sign of replacement for each character that no database takes."""
    if is_storable(text):
        return text
    return _UNSTORABLE.sub("\ufffd", text)


def is_storable(text: str) -> bool:
    """Tell whether a database takes all of `text`."""
    return "\0" not in text and (text.isascii() or not _UNSTORABLE.search(text))
