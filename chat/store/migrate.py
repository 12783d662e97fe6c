"""Migrate a database to a revision, one process at a time."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, inspect, text

from ..identity.reserved import title_key
from . import sqlite_file
from .engine import lock, make_engine, parse_url
from .models import metadata

#: Not Alembic's default name: the site may use Alembic in the same database.
VERSION_TABLE = "chat_alembic_version"
#: The newest revision, repeated here so that a start on a current database need not import Alembic.
HEAD = "0007"
_SCRIPTS = Path(__file__).parent / "migrations"


def upgrade(url: str, revision: str = "head") -> None:
    """Upgrade the database at `url` to a revision. Concurrent callers wait and then find it done."""
    _migrate(url, revision, "upgrade")


def downgrade(url: str, revision: str) -> None:
    """Downgrade the database at `url` to a revision (`base`: no tables). Data that it has no place for is lost."""
    _migrate(url, revision, "downgrade")


def _migrate(url: str, revision: str, direction: str) -> None:
    engine = make_engine(url)
    try:
        with _locked_file(parse_url(url)), engine.begin() as connection:
            lock(connection, "migrate")
            if revision != "head" or not _is_current(connection):
                from alembic import command

                getattr(command, direction)(_config(connection), revision)
    finally:
        engine.dispose()


def _config(connection: Connection) -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["context"] = {
        "connection": connection,
        "target_metadata": metadata,
        "version_table": VERSION_TABLE,
        "render_as_batch": True,
    }
    # Migrations import nothing of the chat: see migrations/env.py.
    config.attributes["title_key"] = title_key
    return config


def _is_current(connection: Connection) -> bool:
    if not inspect(connection).has_table(VERSION_TABLE):
        return False
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar() == HEAD


def _locked_file(url: URL) -> AbstractContextManager[None]:
    """Hold a lock file beside a SQLite database, which has no other lock that two migrations could wait for."""
    if url.get_backend_name() != "sqlite":
        return nullcontext()
    return sqlite_file.locked(Path(url.database or ""))
