"""Pages that are bounded in bytes, too: a page that would be larger ends early, and its cursor continues there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import orjson

from ...store.history import RoomOf
from ...wire.errors import ChatError
from .shapes import Shape

#: Bytes of JSON in one page, except where a single entry is larger.
PAGE_BYTES = 262_144
#: Digits of a number in a cursor: what a 64-bit integer has at most.
_DIGITS = 18


def count_fitting(shapes: Sequence[Shape], room: int = PAGE_BYTES) -> int:
    """Return how many of the first entries fit into `room` bytes; at least one, if there is one."""
    for count, shape in enumerate(shapes):
        room -= len(orjson.dumps(shape)) + 1
        if room < 0:
            return max(count, 1)
    return len(shapes)


def fitting(shapes: list[Shape], room: int = PAGE_BYTES) -> list[Shape]:
    """Return the first entries that fit."""
    return shapes[: count_fitting(shapes, room)]


def last_fitting(shapes: list[Shape], room: int = PAGE_BYTES) -> list[Shape]:
    """Return the last entries that fit."""
    return shapes[len(shapes) - count_fitting(shapes[::-1], room) :]


def around(shapes: list[Shape], seq: int) -> list[Shape]:
    """Return the messages nearest to `seq` that fit."""
    at = sum(shape["seq"] < seq for shape in shapes)
    newer = fitting(shapes[at:], PAGE_BYTES // 2)
    return last_fitting(shapes[:at], PAGE_BYTES // 2) + newer


class RoomCursor(NamedTuple):
    """Where a list of a user's rooms continues: after this room, and with those that were active since it began."""

    last_at: int
    id: int
    began: int

    @classmethod
    def read(cls, text: str) -> RoomCursor:
        """Return the cursor of that text; raise ChatError: bad_cursor."""
        parts = text.split(".")
        if len(parts) != 3 or not all(
            part.isascii() and part.isdigit() and len(part) <= _DIGITS for part in parts
        ):
            raise ChatError("bad_cursor")
        return cls(*map(int, parts))

    def __str__(self) -> str:
        return f"{self.last_at}.{self.id}.{self.began}"

    def continues_with(self, one: RoomOf) -> bool:
        """Tell whether a room has yet to be listed; one that became active meanwhile may be listed again."""
        return one.room.last_at > self.began or (one.room.last_at, one.room.id) < (self.last_at, self.id)
