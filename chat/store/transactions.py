"""Transactions whose database errors are raised as StoreUnavailable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from .engine import Run, Transactions
from .history import StoreUnavailable

T = TypeVar("T")
#: Values in one statement: SQLite accepts some thousands at most.
CHUNK = 500

#: Errors of the chat's own code or data, not of the store.
_OWN_ERRORS = (IntegrityError, ProgrammingError, DataError, NotSupportedError)


class HistoryTransactions(Transactions):
    """Transactions that raise StoreUnavailable if the database fails."""

    def read(self, work: Callable[[Connection], T]) -> T:
        """Return `work(connection)`, run on one consistent snapshot; `work` must not write."""
        with translated_errors():
            return super().read(work)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Return `work(connection)` after its commit; an exception rolls everything back."""
        with translated_errors():
            return super().write(work)


class Part:
    """Base of the parts of the SQL history: `self._db` runs transactions."""

    def __init__(self, engine: Engine, run: Run) -> None:
        self._db = HistoryTransactions(engine, run)


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise StoreUnavailable if the database is full, locked, gone or broken; other exceptions pass unchanged."""
    try:
        yield
    except _OWN_ERRORS:
        raise
    except (DBAPIError, PoolTimeout) as error:
        raise StoreUnavailable(_first_line(error)) from error


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield `values` in slices that fit into one statement."""
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]


def _first_line(error: Exception) -> str:
    # SQLAlchemy quotes the statement and its values, which must not appear in a log.
    original = getattr(error, "orig", None) or error
    return str(original).partition("\n")[0]
