"""Which database URLs the chat can use, checked without SQLAlchemy.

`gunicorn.conf.py` and `flask chat` check the settings before they need a database. SQLAlchemy alone would take most of
that time.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from .errors import ConfigError

#: The URL as sqlalchemy.make_url reads it; only the parts that are checked here are named.
_URL = re.compile(
    r"(?P<backend>\w+)(\+[\w+]*)?://"
    r"([^:/]*(:[^@]*)?@)?"
    r"(\[[^/?]+\]|[^/:?]+)?(:(?P<port>[^/?]*))?"
    r"(/(?P<database>[^?]*))?"
)


class BadDatabaseUrl(ConfigError):
    """The database URL names something that the chat cannot use; the message says what it can."""


def check_database_url(url: str) -> None:
    """Raise BadDatabaseUrl unless `url` names a SQLite file or a PostgreSQL database."""
    match = _URL.match(url)
    if match is None or not _is_port(match["port"]):
        raise BadDatabaseUrl(
            "CHAT_DATABASE_URL cannot be read: write sqlite:///path or postgresql://host/name."
        )
    backend = match["backend"]
    if backend in {"postgres", "postgresql"}:
        return
    if backend != "sqlite":
        raise BadDatabaseUrl(
            f"CHAT_DATABASE_URL names {backend}, on which the chat does not run. Set it to sqlite:///path or "
            "postgresql://host/name; the site itself may keep its own database."
        )
    if unquote(match["database"] or "") in {"", ":memory:"}:
        raise BadDatabaseUrl(
            "CHAT_DATABASE_URL must name a file, because only one thread sees a SQLite database in memory: "
            "sqlite:///path"
        )


def _is_port(text: str | None) -> bool:
    if not text:
        return True
    try:
        int(text)
    except ValueError:
        return False
    return True
