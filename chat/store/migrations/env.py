"""Alembic's entry point. store/migrate.py runs it, and provides the connection, the tables and the lock.

It imports nothing of the chat: Alembic runs this file outside the package, whose name is `chat` or `flask_chat`.
"""

from alembic import context

context.configure(**context.config.attributes["context"])
# The caller has begun the transaction, under its lock: Alembic neither begins nor commits one.
context.run_migrations()
