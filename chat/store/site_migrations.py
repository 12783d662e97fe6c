"""For a site whose own migrations (Alembic, Flask-Migrate) run in the database that the chat uses too."""

from __future__ import annotations

from functools import cache
from typing import Any

#: SQLite's full-text index, and the tables in which FTS5 keeps it. PostgreSQL has none of them.
_SEARCH = "chat_search"
_SEARCH_PARTS = ("data", "idx", "content", "docsize", "config")


@cache
def chat_tables() -> frozenset[str]:
    """Return the names of all tables that the chat's own migrations create."""
    # Imported here, so that importing the chat's public names does not import SQLAlchemy.
    from .migrate import VERSION_TABLE
    from .models import metadata

    search = {_SEARCH, *(f"{_SEARCH}_{part}" for part in _SEARCH_PARTS)}
    return frozenset({*metadata.tables, VERSION_TABLE, *search})


def include_object(_object: Any, name: str | None, type_: str, reflected: bool, compare_to: Any) -> bool:
    """Return False for the chat's tables: `include_object` of the site's Alembic, which would drop them otherwise.

    A table that the site's own models define is compared as always, whatever its name.
    """
    is_foreign = reflected and compare_to is None
    return not (type_ == "table" and is_foreign and name in chat_tables())
