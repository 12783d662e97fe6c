"""The fields of a request: each function returns one in its normal form, or raises ChatError.

openapi.json documents the same limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from ...identity.names import SITE_MAX_CHARS, is_printable, name_key
from ...identity.reserved import is_visible
from ...rooms.access import ROLES
from ...store.history import DIRECT_PREFIX, PRIVATE, PUBLIC
from ...wire.decoding import has_control
from ...wire.envelope import Identity
from ...wire.errors import ChatError
from ...wire.normal_forms import normalize

MAX_TITLE = 64
MAX_TOPIC = 250
MAX_QUERY = 100
#: A line may hold that many times its characters of white space, and of letters before their marks are joined to them.
_MOST_SPACED, _MOST_DECOMPOSED = 16, 4
#: The longest name or id that is looked up; a site's own may be longer than the chat's.
MAX_NAME = SITE_MAX_CHARS
MAX_LIMIT = 200
DEFAULT_LIMIT = 50
#: JavaScript's Number.MAX_SAFE_INTEGER.
MAX_NUMBER = 2**53 - 1
#: A search cursor has at most 15 digits.
MAX_CURSOR = 10**15

#: The prefix of the names of private rooms, which are otherwise random.
PRIVATE_PREFIX = "p-"
#: Zero-width joiners are part of emoji and of some scripts; no other invisible character is allowed in a line of text.
_JOINERS = {0x200C: None, 0x200D: None}


class Position(NamedTuple):
    """Where a page of messages begins."""

    #: "before", "after" or "around".
    side: str
    seq: int


# ---- bodies ----------------------------------------------------------------------------------------------------


def body(raw: bytes) -> dict[str, Any]:
    """Return the JSON object in a request body."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise ChatError("bad_json") from None
    if type(value) is not dict:
        raise ChatError("bad_request")
    return value


def kind(value: Any) -> str:
    """Return the kind of a room to create. Direct conversations are created by their first message."""
    if value not in (PUBLIC, PRIVATE):
        raise ChatError("bad_kind")
    return value


def title(value: Any, kind: str) -> str:
    """Return a room's title. A public room's title is its name, for which the store has stricter rules."""
    text = _line(value, MAX_TITLE)
    if not text or not text.isprintable() or not is_visible(text):
        raise ChatError("bad_title")
    if kind == PUBLIC and name_key(text).startswith((DIRECT_PREFIX, PRIVATE_PREFIX)):
        raise ChatError("bad_title")
    return text


def topic(value: Any) -> str:
    """Return a room's topic: one line, which may be empty."""
    text = _line(value, MAX_TOPIC)
    if text is None or not text.translate(_JOINERS).isprintable():
        raise ChatError("bad_topic")
    return text


def _line(value: Any, most: int) -> str | None:
    """Return a text of at most `most` characters as one line; None for anything else.

    Any white space becomes one space, and each letter has one representation.
    """
    if type(value) is not str or len(value) > _MOST_SPACED * most:
        return None
    text = " ".join(value.split())
    if len(text) > _MOST_DECOMPOSED * most:
        return None
    text = normalize("NFC", text)
    return text if len(text) <= most else None


def flag(value: Any) -> bool:
    """Return whether a room to create is ephemeral."""
    if type(value) is not bool:
        raise ChatError("bad_flag")
    return value


def role(value: Any) -> str:
    """Return a role."""
    if value not in ROLES:
        raise ChatError("bad_role")
    return value


def username(value: Any) -> str:
    """Return a user's name or id as it was sent."""
    if not isinstance(value, str) or not can_be_name(value):
        raise ChatError("bad_username")
    return value


def seq(value: Any) -> int:
    """Return a seq from a request body."""
    # JSON has one kind of number: 80.0 is the integer 80.
    if type(value) not in (int, float) or value != value // 1 or not 0 <= value <= MAX_NUMBER:
        raise ChatError("bad_seq")
    return int(value)


def can_be_name(text: str) -> bool:
    """Return whether `text` can be the name or id of anything: databases do not accept every text."""
    return 0 < len(text) <= MAX_NAME and is_printable(text)


# ---- queries ---------------------------------------------------------------------------------------------------


def limit(args: Mapping[str, str]) -> int:
    """Return the size of a page."""
    if "limit" not in args:
        return DEFAULT_LIMIT
    number = _number(args["limit"])
    if number is None or not 1 <= number <= MAX_LIMIT:
        raise ChatError("bad_limit")
    return number


def position(args: Mapping[str, str]) -> Position | None:
    """Return the position of a page of messages; None for the newest."""
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
    """Return the name after which a page of a list begins; None for the first page."""
    name = args.get("after")
    if name is not None and not can_be_name(name):
        raise ChatError("bad_cursor")
    return name


#: Between name and id in the cursor of a list of members: no name contains it.
_CURSOR_SEPARATOR = "\t"


def member_cursor(user: Identity) -> str:
    """Return the `after` of the page that follows this member: the name, and the id, for others may have that name."""
    return f"{user.username}{_CURSOR_SEPARATOR}{user.id}"


def after_member(args: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Return the name, and the id if there is one, after which a page of members begins; (None, None) for the first."""
    if "after" not in args:
        return None, None
    name, separator, id = args["after"].partition(_CURSOR_SEPARATOR)
    if not can_be_name(name) or (separator and not can_be_name(id)):
        raise ChatError("bad_cursor")
    return name, id or None


def cursor(args: Mapping[str, str]) -> int | None:
    """Return the number before which a page of search results begins; None for the newest."""
    if "before" not in args:
        return None
    number = _number(args["before"])
    if number is None or number >= MAX_CURSOR:
        raise ChatError("bad_cursor")
    return number


def query(args: Mapping[str, str], needed: bool = False) -> str:
    """Return the text of a search; it may be empty unless it is `needed`."""
    text = args.get("q", "").strip()
    if len(text) > MAX_QUERY or has_control(text) or (needed and not text):
        raise ChatError("bad_query")
    return text


def _number(text: str) -> int | None:
    # int() would also accept digits of other scripts, underscores and signs.
    if not (len(text) <= 16 and text.isascii() and text.isdigit()):
        return None
    number = int(text)
    return number if number <= MAX_NUMBER else None
