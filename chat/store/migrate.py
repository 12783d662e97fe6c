"""Bring a database's tables to the newest revision, one process at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection

from .engine import lock, make_engine, parse_url

#: Beside another site's tables and its own Alembic there may be a table of that name.
VERSION_TABLE = "chat_alembic_version"
_SCRIPTS = Path(__file__).parent / "migrations"


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the database at `url` to a revision; others who ask at the same time wait, and find it done."""
    _migrate(url, revision, command.upgrade)


def downgrade(url: str, revision: str) -> None:
    """Take the database at `url` back to a revision (`base`: no tables); what later ones stored is lost."""
    _migrate(url, revision, command.downgrade)


def _migrate(url: str, revision: str, direction: Callable[..., None]) -> None:
    engine = make_engine(url)
    try:
        with _locked_file(parse_url(url)), engine.begin() as connection:
            lock(connection, "migrate")
            if revision != "head" or not _is_current(connection):
                direction(_config(connection), revision)
    finally:
        engine.dispose()


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _is_current(connection: Connection) -> bool:
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return context.get_current_revision() == ScriptDirectory.from_config(_config()).get_current_head()


@contextmanager
def _locked_file(url: URL) -> Iterator[None]:
    """Hold the lock file beside a SQLite database: switching to WAL cannot wait for another process by itself."""
    if url.get_backend_name() != "sqlite":
        yield
        return
    path = Path(f"{url.database}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
