"""The tables. A change here needs a revision in migrations/."""

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

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: A SQLite key that is assigned automatically must be an INTEGER.
_SERIAL = BigInteger().with_variant(Integer(), "sqlite")
#: Text that is compared by code points, as SQLite and Python do, and not by a language's collation.
_KEY = Text().with_variant(Text(collation="C"), "postgresql")

#: Every user who ever had a token: those of the reference site, and those of a site with its own accounts.
users = Table(
    "chat_users",
    metadata,
    Column("id", String(), primary_key=True),
    Column("username", Text, nullable=False),
    #: Who logs in with the name: its chat.identity.names.name_key, which no two users share. Starts with a space if a
    #: site gives the name to another of its users too.
    Column("name_key", Text, nullable=False, unique=True),
    #: Who is found by the name: its name_key, which several users may share. Starts with a space if the site gave the
    #: name to another user instead (Users.rename).
    Column("lookup_key", Text, nullable=False, server_default="", index=True),
    #: chat.identity.names.skeleton; null for users of a site with its own accounts, which checks their names itself.
    Column("skeleton", Text, unique=True),
    #: Null: the user logs in at the site, or not at all.
    Column("password_hash", Text),
    #: Milliseconds: tokens issued before this time are not valid.
    Column("tokens_valid_after", BigInteger, nullable=False, server_default=text("0")),
    Column("banned", Boolean, nullable=False, server_default=false()),
    Column("created_at", BigInteger, nullable=False),
    #: A deleted user's row stays, so that no other user can take the name.
    Column("deleted_at", BigInteger),
)

#: Requests of other processes to the running servers. Ids ascend in the order of commits and are never reused.
control = Table(
    "chat_control",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("payload", JSON, nullable=False),
    Column("created_at", BigInteger, nullable=False, index=True),
    sqlite_autoincrement=True,
)

#: The columns are those of chat.store.history.RoomRow.
rooms = Table(
    "chat_rooms",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("name", _KEY, nullable=False, unique=True),
    #: chat.identity.names.name_key of a public room, which no two share. Null for other rooms.
    Column("name_key", _KEY, unique=True),
    Column("title", Text, nullable=False),
    #: chat.identity.reserved.title_key of the title. Null for direct conversations, which have none.
    Column("title_key", _KEY, index=True),
    Column("topic", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("ephemeral", Boolean, nullable=False),
    Column("epoch", Text, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("created_by", _KEY, index=True),
    Column("created_at", BigInteger, nullable=False),
    #: The transaction that changed the row last. SQLite: a number above those of earlier transactions and above every
    #: pk of chat_messages. PostgreSQL: the transaction id.
    Column("changed", BigInteger, nullable=False, index=True),
)

#: A site's own users may have no row in chat_users, so members' names are stored here too.
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

#: Invitations to rooms that wait for an answer, and for a while those that have had one or were withdrawn.
invitations = Table(
    "chat_invitations",
    metadata,
    Column("room_id", _SERIAL, ForeignKey("chat_rooms.id"), primary_key=True, autoincrement=False),
    Column("user_id", _KEY, primary_key=True),
    Column("username", Text, nullable=False),
    Column("inviter_id", _KEY, nullable=False),
    Column("inviter_name", Text, nullable=False),
    #: The role that the user gets.
    Column("role", Text, nullable=False),
    #: chat.store.inviting.State.
    Column("state", Text, nullable=False),
    #: When the user was invited last, and how often within an hour.
    Column("created_at", BigInteger, nullable=False),
    Column("times", Integer, nullable=False),
    Column("answered_at", BigInteger),
    Index("ix_chat_invitations_user_id", "user_id"),
    Index("ix_chat_invitations_inviter_id", "inviter_id", "created_at"),
)

#: The columns are those of chat.store.history.Message. PostgreSQL has one more, `terms`, for search; SQLite has a table
#: of its own for that, `chat_search`. There are no foreign keys: each would cost a look-up for every message.
messages = Table(
    "chat_messages",
    metadata,
    Column("pk", _SERIAL, primary_key=True, autoincrement=True),
    Column("room_id", _SERIAL, nullable=False),
    Column("seq", BigInteger, nullable=False),
    #: The value of chat_rooms.changed that the message's transaction wrote.
    Column("batch", BigInteger, nullable=False),
    Column("type", SmallInteger, nullable=False),
    #: Empty for the server's own messages.
    Column("sender_id", _KEY, nullable=False),
    Column("sender_name", Text, nullable=False),
    Column("to_name", Text),
    Column("id", _KEY, nullable=False),
    Column("data", Text, nullable=False),
    Column("ts", BigInteger, nullable=False),
    Column("origin", BigInteger, nullable=False),
    UniqueConstraint("room_id", "seq"),
    # With `id` first, ids that start with the time are adjacent for all senders and rooms: few pages change.
    UniqueConstraint("id", "sender_id", "room_id"),
)

#: The users whom messages mention.
mentions = Table(
    "chat_mentions",
    metadata,
    Column("user_id", _KEY, primary_key=True),
    Column("room_id", _SERIAL, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Index("ix_chat_mentions_room_id", "room_id", "seq"),
)

#: The bytes that users have stored on the last day on which they stored anything: CHAT_STORE_QUOTA.
usage = Table(
    "chat_usage",
    metadata,
    Column("user_id", _KEY, primary_key=True),
    #: Days since 1970 (UTC).
    Column("day", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

#: Rooms of Socket.IO connections that are not just in the rooms in which they started: chat.store.io_sessions.
io_sessions = Table(
    "chat_io_sessions",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("user_id", _KEY, nullable=False),
    Column("rooms", JSON, nullable=False),
    #: The process that serves, or served last, the connection.
    Column("origin", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False, index=True),
)

#: The sessions in which users are logged in to the site, as far as the chat has named them: chat.store.log_in_sessions.
log_in_sessions = Table(
    "chat_log_in_sessions",
    metadata,
    #: The claim `sid` of the session's tokens.
    Column("id", _KEY, primary_key=True),
    Column("user_id", _KEY, nullable=False, index=True),
    Column("user_agent", Text, nullable=False),
    Column("began_at", BigInteger, nullable=False),
    Column("used_at", BigInteger, nullable=False),
    #: Null while the session is open. An ended session's row stays: its cookie may come back.
    Column("ended_at", BigInteger),
)


def now_ms() -> int:
    """Return the time in milliseconds since 1970, as the chat writes it everywhere."""
    return time.time_ns() // 1_000_000
