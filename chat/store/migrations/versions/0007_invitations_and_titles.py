"""Invitations to rooms, and the keys by which titles that look alike are found."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_KEY = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
#: Rooms in one statement.
_CHUNK = 1000


def upgrade() -> None:
    """Create the table, and add the column, filled in."""
    op.create_table(
        "chat_invitations",
        sa.Column("room_id", _SERIAL, autoincrement=False, nullable=False),
        sa.Column("user_id", _KEY, nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("inviter_id", _KEY, nullable=False),
        sa.Column("inviter_name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("answered_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("room_id", "user_id", name="pk_chat_invitations"),
        sa.ForeignKeyConstraint(
            ["room_id"], ["chat_rooms.id"], name="fk_chat_invitations_room_id_chat_rooms"
        ),
    )
    op.create_index("ix_chat_invitations_user_id", "chat_invitations", ["user_id"])
    op.create_index("ix_chat_invitations_inviter_id", "chat_invitations", ["inviter_id", "created_at"])
    op.add_column("chat_rooms", sa.Column("title_key", _KEY))
    _fill_title_keys()
    op.create_index("ix_chat_rooms_title_key", "chat_rooms", ["title_key"])


def downgrade() -> None:
    """Drop both."""
    op.drop_index("ix_chat_rooms_title_key", "chat_rooms")
    op.drop_column("chat_rooms", "title_key")
    op.drop_table("chat_invitations")


def _fill_title_keys() -> None:
    config = op.get_context().config
    assert config is not None
    title_key = config.attributes["title_key"]
    rooms = sa.table("chat_rooms", *map(sa.column, ("id", "title", "kind", "title_key")))
    connection = op.get_bind()
    wanted = sa.select(rooms.c.id, rooms.c.title).where(rooms.c.kind != "direct").order_by(rooms.c.id)
    change = rooms.update().where(rooms.c.id == sa.bindparam("of")).values(title_key=sa.bindparam("key"))
    last = -1
    while rows := connection.execute(wanted.where(rooms.c.id > last).limit(_CHUNK)).all():
        connection.execute(change, [{"of": id, "key": title_key(title)} for id, title in rows])
        last = rows[-1].id
