"""Whole transactions of a history, whose failures have one name."""

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
#: Values in one statement: SQLite takes no more than some thousand.
CHUNK = 500

#: What is our own mistake, and no failure of the store's.
_MISTAKES = (IntegrityError, ProgrammingError, DataError, NotSupportedError)


class HistoryTransactions(Transactions):
    """Transactions that raise StoreUnavailable where the database is what fails."""

    def read(self, work: Callable[[Connection], T]) -> T:
        """Return `work(connection)` of one consistent snapshot; `work` must not write."""
        with failures():
            return super().read(work)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Return `work(connection)` once it is committed; an exception undoes all of it."""
        with failures():
            return super().write(work)


class Part:
    """A part of the SQL history: `self._db` runs its transactions."""

    def __init__(self, engine: Engine, run: Run) -> None:
        self._db = HistoryTransactions(engine, run)


@contextmanager
def failures() -> Iterator[None]:
    """Raise StoreUnavailable for a database that is full, locked, gone or broken; pass on every other exception."""
    try:
        yield
    except _MISTAKES:
        raise
    except (DBAPIError, PoolTimeout) as error:
        raise StoreUnavailable(_first_line(error)) from error


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield `values` in pieces that one statement can take."""
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]


def _first_line(error: Exception) -> str:
    # Without SQLAlchemy's quotation of the statement and its values, which are nobody's business in a log.
    original = getattr(error, "orig", None) or error
    return str(original).partition("\n")[0]
