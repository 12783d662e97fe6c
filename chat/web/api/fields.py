"""What a request may say: each function returns a field's value in its proper form, or raises ChatError.

openapi.json tells clients the same limits.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from ...identity.names import name_key
from ...rooms.access import ROLES
from ...store.history import DIRECT_PREFIX, PRIVATE, PUBLIC
from ...wire.decoding import has_control
from ...wire.errors import ChatError

MAX_TITLE = 64
MAX_TOPIC = 250
MAX_QUERY = 100
#: The longest name that is looked up at all; a site's own names and ids may be longer than ours.
MAX_NAME = 250
MAX_LIMIT = 200
USUAL_LIMIT = 50
#: The largest whole number that JavaScript counts to.
MAX_NUMBER = 2**53 - 1
#: A search goes on from a number of up to 15 digits.
MAX_CURSOR = 10**15

#: The names of private rooms are random and begin so.
PRIVATE_PREFIX = "p-"
#: They join emoji and shape letters; nothing else that is invisible is wanted in a line of text.
_JOINERS = {0x200C: None, 0x200D: None}


class Position(NamedTuple):
    """Where a page of messages is to be read."""

    #: "before", "after" or "around".
    side: str
    seq: int


# ---- bodies ----------------------------------------------------------------------------------------------------


def body(raw: bytes) -> dict[str, Any]:
    """Return the JSON object that a request brought."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise ChatError("bad_json") from None
    if type(value) is not dict:
        raise ChatError("bad_request")
    return value


def kind(value: Any) -> str:
    """Return what kind of room is to be made: those of two make themselves."""
    if value not in (PUBLIC, PRIVATE):
        raise ChatError("bad_kind")
    return value


def title(value: Any, kind: str) -> str:
    """Return a room's title; a public one becomes its name, in which the store allows less."""
    text = _line(value) if isinstance(value, str) else ""
    if not 0 < len(text) <= MAX_TITLE or not text.isprintable():
        raise ChatError("bad_title")
    if kind == PUBLIC and name_key(text).startswith((DIRECT_PREFIX, PRIVATE_PREFIX)):
        raise ChatError("bad_title")
    return text


def topic(value: Any) -> str:
    """Return what a room is about, in one line; it may be empty."""
    text = _line(value) if isinstance(value, str) else None
    if text is None or len(text) > MAX_TOPIC or not text.translate(_JOINERS).isprintable():
        raise ChatError("bad_topic")
    return text


def _line(text: str) -> str:
    # White space of any kind is one space here; and no two ways to write the same letter.
    return unicodedata.normalize("NFC", " ".join(text[: 16 * MAX_TOPIC].split()))


def flag(value: Any) -> bool:
    """Return whether a room is to be ephemeral."""
    if type(value) is not bool:
        raise ChatError("bad_flag")
    return value


def role(value: Any) -> str:
    """Return a role."""
    if value not in ROLES:
        raise ChatError("bad_role")
    return value


def username(value: Any) -> str:
    """Return a user's name as it was written."""
    if not isinstance(value, str) or not can_be_name(value):
        raise ChatError("bad_username")
    return value


def seq(value: Any) -> int:
    """Return a seq out of a body."""
    # JSON has one kind of number: 80.0 is as whole as 80.
    if type(value) not in (int, float) or value != value // 1 or not 0 <= value <= MAX_NUMBER:
        raise ChatError("bad_seq")
    return int(value)


def can_be_name(text: str) -> bool:
    """Tell whether it is worth looking for somebody or something of that name: databases do not take all texts."""
    return 0 < len(text) <= MAX_NAME and text.isprintable()


# ---- queries ---------------------------------------------------------------------------------------------------


def limit(args: Mapping[str, str]) -> int:
    """Return how much is wanted at once."""
    if "limit" not in args:
        return USUAL_LIMIT
    number = _number(args["limit"])
    if number is None or not 1 <= number <= MAX_LIMIT:
        raise ChatError("bad_limit")
    return number


def position(args: Mapping[str, str]) -> Position | None:
    """Return where to read; None for the newest."""
    sides = [side for side in ("before", "after", "around") if side in args]
    if not sides:
        return None
    if len(sides) > 1:
        raise ChatError("bad_range")
    number = _number(args[sides[0]])
    if number is None:
        raise ChatError("bad_seq")
    return Position(sides[0], number)


def after(args: Mapping[str, str]) -> str | None:
    """Return the name after which a list goes on; None for its beginning."""
    name = args.get("after")
    if name is not None and not can_be_name(name):
        raise ChatError("bad_cursor")
    return name


def cursor(args: Mapping[str, str]) -> int | None:
    """Return the number before which a search goes on; None for the newest."""
    if "before" not in args:
        return None
    number = _number(args["before"])
    if number is None or number >= MAX_CURSOR:
        raise ChatError("bad_cursor")
    return number


def query(args: Mapping[str, str], needed: bool = False) -> str:
    """Return what is looked for; empty, unless it is `needed`."""
    text = args.get("q", "").strip()
    if len(text) > MAX_QUERY or has_control(text) or (needed and not text):
        raise ChatError("bad_query")
    return text


def _number(text: str) -> int | None:
    # int() takes other scripts' digits, underscores and signs too.
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        return None
    number = int(text)
    return number if number <= MAX_NUMBER else None
