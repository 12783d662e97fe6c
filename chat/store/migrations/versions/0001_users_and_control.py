"""Users, and the control table through which other processes reach a running server."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "chat_users",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("skeleton", sa.Text()),
        sa.Column("password_hash", sa.Text()),
        sa.Column("tokens_valid_after", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("banned", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_chat_users"),
        sa.UniqueConstraint("name_key", name="uq_chat_users_name_key"),
        sa.UniqueConstraint("skeleton", name="uq_chat_users_skeleton"),
    )
    op.create_table(
        "chat_control",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_chat_control"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_chat_control_created_at", "chat_control", ["created_at"])


def downgrade() -> None:
    """Drop both tables, including all users."""
    op.drop_table("chat_control")
    op.drop_table("chat_users")
