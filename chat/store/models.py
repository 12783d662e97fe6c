"""The tables. Their history stands in migrations/: a change here needs a revision there."""

from __future__ import annotations

import time

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.dialects import postgresql

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: A SQLite key that counts up must be an INTEGER.
_SERIAL = BigInteger().with_variant(Integer(), "sqlite")
#: Text that is compared by its characters' numbers, as SQLite and Python do, and not by some language's rules.
_KEY = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")

#: Everyone who ever had a token: the reference site's own users, and a row for each of another site's.
users = Table(
    "chat_users",
    metadata,
    Column("id", String(), primary_key=True),
    Column("username", Text, nullable=False),
    #: names.name_key of the name. Starts with a space where a site gives one name to two users.
    Column("name_key", Text, nullable=False, unique=True),
    #: chat.identity.names.skeleton; null for another site's users, whose names are that site's affair.
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
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("payload", JSON, nullable=False),
    Column("created_at", BigInteger, nullable=False, index=True),
    sqlite_autoincrement=True,
)

#: chat.store.history.RoomRow says what the columns mean.
rooms = Table(
    "chat_rooms",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("name", _KEY, nullable=False, unique=True),
    #: A public room's chat.identity.names.name_key: two cannot share it. Null for other rooms.
    Column("name_key", _KEY, unique=True),
    Column("title", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("ephemeral", Boolean, nullable=False),
    Column("epoch", Text, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("created_by", _KEY, index=True),
    Column("created_at", BigInteger, nullable=False),
    #: The transaction that changed the row last. SQLite: a number above that of any before, and above every pk of
    #: chat_messages; PostgreSQL: its own transaction id.
    Column("changed", BigInteger, nullable=False, index=True),
)

#: A site's own users may have no row in chat_users, so a member's name stands here too.
memberships = Table(
    "chat_memberships",
    metadata,
    Column("room_id", _SERIAL, ForeignKey("chat_rooms.id"), primary_key=True, autoincrement=False),
    Column("user_id", _KEY, primary_key=True),
    Column("username", Text, nullable=False),
    Column("name_key", _KEY, nullable=False),
    Column("role", Text, nullable=False),
    Column("read_seq", BigInteger, nullable=False),
    Column("joined_at", BigInteger, nullable=False),
    Index("ix_chat_memberships_name_key", "room_id", "name_key"),
    Index("ix_chat_memberships_user_id", "user_id"),
)

#: chat.store.history.Message says what the columns mean. On PostgreSQL there is one more, `terms`, by which messages
#: are found; on SQLite that is a table of its own, `chat_search`. No foreign keys: each would be looked up a message.
messages = Table(
    "chat_messages",
    metadata,
    Column("pk", _SERIAL, primary_key=True, autoincrement=True),
    Column("room_id", _SERIAL, nullable=False),
    Column("seq", BigInteger, nullable=False),
    #: chat_rooms.changed as the message's own transaction wrote it.
    Column("batch", BigInteger, nullable=False),
    Column("type", SmallInteger, nullable=False),
    #: Empty: the house.
    Column("sender_id", _KEY, nullable=False),
    Column("sender_name", Text, nullable=False),
    Column("to_name", Text),
    Column("id", _KEY, nullable=False),
    Column("data", Text, nullable=False),
    Column("ts", BigInteger, nullable=False),
    Column("origin", BigInteger, nullable=False),
    UniqueConstraint("room_id", "seq"),
    # In this order ids that begin with the time fall beside each other, whoever sends them where: few pages change.
    UniqueConstraint("id", "sender_id", "room_id"),
)

#: Which messages name whom.
mentions = Table(
    "chat_mentions",
    metadata,
    Column("user_id", _KEY, primary_key=True),
    Column("room_id", _SERIAL, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Index("ix_chat_mentions_room_id", "room_id", "seq"),
)

#: Rooms of Socket.IO's connections, of those that are or were in others than they began in: chat.store.io_sessions.
io_sessions = Table(
    "chat_io_sessions",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("user_id", _KEY, nullable=False),
    Column("rooms", JSON, nullable=False),
    #: The process that the connection is or was on.
    Column("origin", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False, index=True),
)


def now_ms() -> int:
    """Return the time as the chat writes it everywhere: milliseconds since 1970."""
    return time.time_ns() // 1_000_000
