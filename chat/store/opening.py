"""Opening the database at the start: failures that the site's owner can correct are raised as one sentence."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Engine
from sqlalchemy.exc import DBAPIError

from ..config import BadDatabaseUrl
from . import sqlite_file
from .engine import make_engine, parse_url
from .migrate import upgrade

log = logging.getLogger("flask_chat")


def open_engine(url: str, upgrades: bool) -> Engine:
    """Return an engine for the database, upgraded if asked to; raise BadDatabaseUrl if it cannot be used."""
    with explained_errors(url):
        engine = make_engine(url)
        if upgrades:
            upgrade(url)
        if engine.dialect.name == "sqlite":
            _advise(Path(engine.url.database or ""))
        return engine


@contextmanager
def explained_errors(url: str) -> Iterator[None]:
    """Raise BadDatabaseUrl, whose one sentence says what to do, if the database cannot be opened or changed."""
    try:
        yield
    except (OSError, sqlite3.Error, DBAPIError) as error:
        log.debug("The chat's database cannot be used.", exc_info=True)
        raise BadDatabaseUrl(_sentence(parse_url(url), _reason(error))) from None


def _advise(path: Path) -> None:
    if advice := sqlite_file.advice(path):
        log.warning(advice)


def _sentence(url: URL, reason: str) -> str:
    if url.get_backend_name() == "sqlite":
        path = Path(url.database or "").absolute()
        return (
            f"The chat cannot use its database {path}: {reason}. Make file and folder writable for the user that runs "
            "the site, or set CHAT_DATABASE_URL to a database elsewhere."
        )
    # SQLAlchemy hides the password. The options may hold one too.
    shown = url.set(drivername="postgresql", query={}).render_as_string()
    return (
        f"The chat cannot use its database {shown}: {reason}. Check that the server runs, that CHAT_DATABASE_URL "
        "names it, and that its user may create tables."
    )


def _reason(error: Exception) -> str:
    # SQLAlchemy quotes the statement and its values, an OSError the path. Neither belongs into the sentence.
    original = getattr(error, "orig", None) or getattr(error, "strerror", None) or error
    return str(original).partition("\n")[0].rstrip(".")
