"""The key by which users are found by name, which several users of a site may share."""

import re
import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

#: Users in one statement.
_CHUNK = 1000


def upgrade() -> None:
    """Add the column with its index, and fill it in."""
    # Servers of the version before this one may still be running: they insert users without the column.
    op.add_column("chat_users", sa.Column("lookup_key", sa.Text(), nullable=False, server_default=""))
    users = sa.table("chat_users", sa.column("id"), sa.column("username"), sa.column("lookup_key"))
    connection = op.get_bind()
    change = users.update().where(users.c.id == sa.bindparam("of")).values(lookup_key=sa.bindparam("key"))
    last = None
    while rows := connection.execute(_page(users, last)).all():
        connection.execute(change, [{"of": id, "key": _key(username)} for id, username in rows])
        last = rows[-1].id
    op.create_index("ix_chat_users_lookup_key", "chat_users", ["lookup_key"])


def downgrade() -> None:
    """Drop the column."""
    op.drop_index("ix_chat_users_lookup_key", "chat_users")
    op.drop_column("chat_users", "lookup_key")


def _page(users: sa.TableClause, last: str | None) -> sa.Select:
    wanted = sa.select(users.c.id, users.c.username).order_by(users.c.id).limit(_CHUNK)
    return wanted if last is None else wanted.where(users.c.id > last)


def _key(name: str) -> str:
    """Return chat.identity.names.name_key as it was at this revision."""
    folded = unicodedata.normalize("NFKC", name).strip().casefold()
    return re.sub("[\x00\ud800-\udfff]", "\ufffd", unicodedata.normalize("NFKC", folded))
