"""Text that every supported database can store. No I/O."""

from __future__ import annotations

import re

#: Lone surrogates, which no database stores, and NUL, which PostgreSQL does not store.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    """Return `text` with U+FFFD in place of each character that cannot be stored."""
    if is_storable(text):
        return text
    return _UNSTORABLE.sub("\ufffd", text)


def is_storable(text: str) -> bool:
    """Return whether every database can store all of `text`."""
    return "\0" not in text and (text.isascii() or not _UNSTORABLE.search(text))
