"""Rooms, their members, their messages, mentions, the search index, and the lobby."""

import secrets
import time

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_KEY = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    """Create the tables and the full-text index, and insert the lobby."""
    _rooms()
    _memberships()
    _messages()
    _mentions()
    _search()
    _lobby()


def downgrade() -> None:
    """Drop the tables, including all rooms and messages."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TABLE chat_search")
    for table in ("chat_mentions", "chat_messages", "chat_memberships", "chat_rooms"):
        op.drop_table(table)


def _rooms() -> None:
    op.create_table(
        "chat_rooms",
        sa.Column("id", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("name", _KEY, nullable=False),
        sa.Column("name_key", _KEY),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("ephemeral", sa.Boolean(), nullable=False),
        sa.Column("epoch", sa.Text(), nullable=False),
        sa.Column("first_seq", sa.BigInteger(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", _KEY),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_chat_rooms"),
        sa.UniqueConstraint("name", name="uq_chat_rooms_name"),
        sa.UniqueConstraint("name_key", name="uq_chat_rooms_name_key"),
    )
    op.create_index("ix_chat_rooms_created_by", "chat_rooms", ["created_by"])
    op.create_index("ix_chat_rooms_changed", "chat_rooms", ["changed"])


def _memberships() -> None:
    op.create_table(
        "chat_memberships",
        sa.Column("room_id", _SERIAL, autoincrement=False, nullable=False),
        sa.Column("user_id", _KEY, nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("name_key", _KEY, nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("read_seq", sa.BigInteger(), nullable=False),
        sa.Column("joined_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("room_id", "user_id", name="pk_chat_memberships"),
        sa.ForeignKeyConstraint(
            ["room_id"], ["chat_rooms.id"], name="fk_chat_memberships_room_id_chat_rooms"
        ),
    )
    op.create_index("ix_chat_memberships_name_key", "chat_memberships", ["room_id", "name_key"])
    op.create_index("ix_chat_memberships_user_id", "chat_memberships", ["user_id"])


def _messages() -> None:
    op.create_table(
        "chat_messages",
        sa.Column("pk", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("room_id", _SERIAL, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.SmallInteger(), nullable=False),
        sa.Column("sender_id", _KEY, nullable=False),
        sa.Column("sender_name", sa.Text(), nullable=False),
        sa.Column("to_name", sa.Text()),
        sa.Column("id", _KEY, nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pk", name="pk_chat_messages"),
        sa.UniqueConstraint("room_id", "seq", name="uq_chat_messages_room_id"),
        sa.UniqueConstraint("id", "sender_id", "room_id", name="uq_chat_messages_id"),
    )


def _mentions() -> None:
    op.create_table(
        "chat_mentions",
        sa.Column("user_id", _KEY, nullable=False),
        sa.Column("room_id", _SERIAL, autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "room_id", "seq", name="pk_chat_mentions"),
    )
    op.create_index("ix_chat_mentions_room_id", "chat_mentions", ["room_id", "seq"])


def _search() -> None:
    """Create the index of the terms that chat.store.terms makes of each message: docs/decisions/0008."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE VIRTUAL TABLE chat_search USING fts5(terms, content='', columnsize=0, tokenize='ascii')"
        )
    else:
        op.add_column("chat_messages", sa.Column("terms", postgresql.TSVECTOR()))
        # With fastupdate, one insert in thousands waits while the pending list is merged into the index.
        op.create_index(
            "ix_chat_messages_terms",
            "chat_messages",
            ["terms"],
            postgresql_using="gin",
            postgresql_with={"fastupdate": "off"},
        )


def _lobby() -> None:
    now = time.time_ns() // 1_000_000
    values = {"name": "lobby", "epoch": secrets.token_urlsafe(6), "now": now}
    op.get_bind().execute(
        sa.text(
            "INSERT INTO chat_rooms"
            " (name, name_key, title, topic, kind, ephemeral, epoch, first_seq, last_seq, last_at, created_at, changed)"
            " VALUES (:name, :name, :name, '', 'public', false, :epoch, 1, 0, :now, :now, 0)"
        ),
        values,
    )
