"""Kinds of blocking work, each with threads of its own, so that none of them waits for another."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from enum import StrEnum
from typing import Any

#: Returns `function(*args)`, run where it blocks no loop.
Run = Callable[..., Any]


class Pool(StrEnum):
    """A kind of blocking work. Pages, the API and what the site itself runs with `run_blocking` share another pool."""

    #: The transaction that stores messages.
    COMMIT = "commit"
    #: What connected clients wait for: Joins, the comparison with the store, the control table, sessions.
    LIVE = "live"
    #: Searches, each of which may take seconds.
    SEARCH = "search"
    #: Password hashes, each of which takes a core for tens of milliseconds and 19 MiB.
    PASSWORDS = "passwords"


#: The threads of each pool. A machine of two cores keeps one for the chat while passwords are checked.
THREADS = {
    Pool.COMMIT: 1,
    Pool.LIVE: 4,
    Pool.SEARCH: 2,
    Pool.PASSWORDS: 2 if (os.cpu_count() or 1) > 2 else 1,
}


def bounded(count: int) -> Run:
    """Return a Run that calls functions in the caller's thread, at most `count` at the same time."""
    places = threading.BoundedSemaphore(count)

    def run(function: Callable[..., Any], *args: Any) -> Any:
        with places:
            return function(*args)

    return run


def outcome(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, BaseException | None]:
    """Return (result, None), or (None, the exception that `function` raised).

    gevent prints an exception raised in its thread pool. If printing fails (disk full), the caller would wait forever.
    """
    try:
        return function(*args), None
    except BaseException as error:
        return None, error
