"""The tables. Their history stands in migrations/: a change here needs a revision there."""

from __future__ import annotations

import time

from sqlalchemy import JSON, BigInteger, Boolean, Column, Integer, MetaData, String, Table, Text, false, text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: Everyone who ever had a token: the reference site's own users, and a row for each of another site's.
users = Table(
    "chat_users",
    metadata,
    Column("id", String(), primary_key=True),
    Column("username", Text, nullable=False),
    #: Two users cannot share it: chat.names.name_key. Starts with a space where a site gives one name to two users.
    Column("name_key", Text, nullable=False, unique=True),
    #: chat.names.skeleton; null for another site's users, whose names are that site's affair.
    Column("skeleton", Text, unique=True),
    #: Null: logs in elsewhere, or not at all.
    Column("password_hash", Text),
    #: Milliseconds: tokens issued before do not count.
    Column("tokens_valid_after", BigInteger, nullable=False, server_default=text("0")),
    Column("banned", Boolean, nullable=False, server_default=false()),
    Column("created_at", BigInteger, nullable=False),
    #: A deleted user's row stays, so that nobody else can take the name.
    Column("deleted_at", BigInteger),
)

#: What other processes ask of the running servers. Ids grow in the order of the commits and are never used again.
control = Table(
    "chat_control",
    metadata,
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("payload", JSON, nullable=False),
    Column("created_at", BigInteger, nullable=False, index=True),
    sqlite_autoincrement=True,
)


def now_ms() -> int:
    """Return the time as the chat writes it everywhere: milliseconds since 1970."""
    return time.time_ns() // 1_000_000
