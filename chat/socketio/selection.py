"""Which clients of a namespace the site means: those of some rooms, or all, but for those that it skips."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

from .registry import check_name


class HasId(Protocol):
    """A session, of this worker or of another."""

    @property
    def id(self) -> str:
        """The client's `socket.id`."""


#: A room, or the id of a session, which stands for a room of that session alone; or several.
Rooms = str | Iterable[str]
#: A session, its id, or a room; or several.
Skipped = HasId | str | Iterable[HasId | str]


class Selection(NamedTuple):
    """Clients of one namespace; lists and texts, so that JSON can hold it."""

    namespace: str
    #: Names of rooms and ids of sessions; None: all of the namespace.
    rooms: tuple[str, ...] | None = None
    #: Names of rooms and ids of sessions that are left out.
    skip: tuple[str, ...] = ()

    @classmethod
    def of(cls, namespace: str, room: Rooms | None, skip: Skipped | None) -> Selection:
        """Return the selection that a site's arguments describe; ValueError or TypeError for bad ones."""
        check_name(namespace)
        rooms = None if room is None else names(room)
        return cls(namespace, rooms, _skipped(skip))

    @classmethod
    def of_json(cls, value: Any) -> Selection:
        """Return the selection that JSON was made of."""
        namespace, rooms, skip = value
        return cls(namespace, None if rooms is None else tuple(rooms), tuple(skip))


def names(room: Rooms) -> tuple[str, ...]:
    """Return one name or several as a tuple; TypeError for what is no text."""
    found = (room,) if isinstance(room, str) else tuple(room)
    for name in found:
        if not isinstance(name, str):
            raise TypeError(f"A room's name is a text, not {name!r}.")
    return found


def _skipped(skip: Skipped | None) -> tuple[str, ...]:
    if skip is None:
        return ()
    if isinstance(skip, str):
        return (skip,)
    if isinstance(skip, Iterable):
        return tuple(dict.fromkeys(name for one in skip for name in _skipped(one)))
    return (skip.id,)
