"""The list of a room's users, encoded as it grows."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import orjson

from .envelope import Identity
from .frames import text_head
from .messages import user_json

_LIST_END = b']"}'


class RosterList:
    """The roster of a room as one frame, encoded as it grows.

    The frame is `head`, the entries, each encoded by `entry(user)`, and `end`. Adding a user costs O(1), so that the
    list of a joining client does not encode all members again. Users who left stay in it until `reset`, which is called
    at each push of the roster.
    """

    __slots__ = ("_head", "_end", "_entry", "_entries", "_frame", "version")

    def __init__(self, head: bytes, end: bytes, entry: Callable[[Identity], bytes]) -> None:
        self._head = head
        self._end = end
        self._entry = entry
        self._entries = bytearray()
        self._frame: bytes | None = None
        #: Incremented at each change.
        self.version = 0

    def reset(self, users: Iterable[Identity]) -> None:
        """Replace the entries by `users`."""
        self._entries = bytearray(b",".join(map(self._entry, users)))
        self._changed()

    def add(self, user: Identity) -> None:
        """Append one user."""
        if self._entries:
            self._entries += b","
        self._entries += self._entry(user)
        self._changed()

    def _changed(self) -> None:
        self._frame = None
        self.version += 1

    def frame(self) -> bytes:
        """Return the whole list as a frame, encoded at most once per change."""
        if self._frame is None:
            # The list of a large room is large, and is made for each joining client: copy it once, not at each step.
            size = len(self._head) + len(self._entries) + len(self._end)
            self._frame = b"".join((text_head(size), self._head, self._entries, self._end))
        return self._frame


def _escaped(user: Identity) -> bytes:
    entry = orjson.dumps(user_json(user))
    return orjson.dumps(entry.decode())[1:-1]


def group_list(room: str) -> RosterList:
    """Return an empty GroupList (type 1) of `room`: `data` is JSON text inside JSON, as in the original server."""
    return RosterList(
        b'{"type":1,"user":null,"room":' + orjson.dumps(room) + b',"data":"[', _LIST_END, _escaped
    )
