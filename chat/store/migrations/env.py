"""Alembic's entry point. chat.store.migrate runs it, and provides the connection and the lock."""

from alembic import context

from chat.store.migrate import VERSION_TABLE
from chat.store.models import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
# The caller has begun the transaction, under its lock: Alembic neither begins nor commits one.
context.run_migrations()
