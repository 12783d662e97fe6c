"""Rooms of Socket.IO connections beyond the lobby, so that a client can resume after a restart."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_KEY = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "chat_io_sessions",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("user_id", _KEY, nullable=False),
        sa.Column("rooms", sa.JSON(), nullable=False),
        sa.Column("origin", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_chat_io_sessions"),
    )
    op.create_index("ix_chat_io_sessions_updated_at", "chat_io_sessions", ["updated_at"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("chat_io_sessions")
