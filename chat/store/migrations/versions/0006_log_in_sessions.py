"""The users' log-in sessions: on which device, when last used, and whether ended."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; sessions from before this are added as they are used."""
    key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "chat_log_in_sessions",
        sa.Column("id", key, nullable=False),
        sa.Column("user_id", key, nullable=False),
        sa.Column("user_agent", sa.Text(), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_chat_log_in_sessions"),
    )
    op.create_index("ix_chat_log_in_sessions_user_id", "chat_log_in_sessions", ["user_id"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("chat_log_in_sessions")
