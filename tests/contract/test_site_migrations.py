"""A site's own Alembic on the database that holds the chat's tables too: it must not drop them."""

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Column, Index, Integer, MetaData, String, Table, create_engine, inspect, text

from chat import include_object
from chat.store import migrate
from chat.store.engine import parse_url
from chat.store.site_migrations import chat_tables

#: The site's env.py, as `flask db init` and `alembic init` write it, with the hook of docs/adding-to-your-site.md.
ENV = """
from alembic import context
from chat import include_object

engine, metadata = context.config.attributes["engine"], context.config.attributes["metadata"]
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=metadata, include_object=include_object)
    with context.begin_transaction():
        context.run_migrations()
"""
TEMPLATE = """
from alembic import op
import sqlalchemy as sa
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
def upgrade():
    ${upgrades if upgrades else "pass"}
def downgrade():
    ${downgrades if downgrades else "pass"}
"""


@pytest.fixture
def shared(empty_url):
    """An engine of the site's for a database with the chat's tables and one of the site's."""
    migrate.upgrade(empty_url)
    engine = create_engine(parse_url(empty_url))
    site().create_all(engine)
    yield engine
    engine.dispose()


def site(*, grown=False):
    """The site's own tables; `grown`, with a column, an index and a table more."""
    metadata = MetaData()
    members = Table("member", metadata, Column("id", Integer, primary_key=True))
    if grown:
        members.append_column(Column("nickname", String(40)))
        Index("ix_member_nickname", members.c.nickname)
        Table("walk", metadata, Column("id", Integer, primary_key=True))
    return metadata


def proposed(engine, metadata, **options):
    """What autogenerate proposes to do, as {(operation, table)}."""
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        found = compare_metadata(context, metadata)
    return {
        (name, thing.name)
        for name, thing, *_ in (one for one in found if type(one) is tuple)
        if name.endswith("table")
    }


def test_without_the_hook_the_sites_migrations_would_drop_the_chats_tables(shared):
    dropped = {table for operation, table in proposed(shared, site()) if operation == "remove_table"}
    assert {"chat_users", "chat_messages", migrate.VERSION_TABLE} <= dropped
    assert dropped <= chat_tables()


def test_with_the_hook_they_drop_nothing(shared):
    assert proposed(shared, site(), include_object=include_object) == set()


def test_a_revision_of_the_site_changes_the_sites_tables_alone(shared, tmp_path):
    scripts = tmp_path / "migrations"
    (scripts / "versions").mkdir(parents=True)
    (scripts / "env.py").write_text(ENV)
    (scripts / "script.py.mako").write_text(TEMPLATE)
    config = Config()
    config.set_main_option("script_location", str(scripts))
    config.set_main_option("path_separator", "os")
    config.attributes.update(engine=shared, metadata=site(grown=True))
    command.stamp(config, "head")
    command.revision(config, autogenerate=True)
    (revision,) = (scripts / "versions").glob("*.py")
    assert "chat_" not in revision.read_text()
    command.upgrade(config, "head")
    assert {"walk", "member", *migrate_tables(shared)} <= set(inspect(shared).get_table_names())


def migrate_tables(engine):
    """The chat's tables that every kind of database has."""
    return chat_tables() - {name for name in chat_tables() if name.startswith("chat_search")}


def test_a_schema_of_its_own_is_out_of_the_sites_sight(postgresql):
    url = parse_url(postgresql())
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA chat"))
    site().create_all(engine)
    in_schema = url.update_query_dict({"options": "-csearch_path=chat"}).render_as_string(False)
    migrate.upgrade(in_schema)
    migrate.upgrade(in_schema)
    assert "chat_users" in inspect(engine).get_table_names("chat")
    assert proposed(engine, site()) == set()
    engine.dispose()


def test_it_names_every_table_of_the_chat(shared):
    tables = set(inspect(shared).get_table_names()) - {"member"}
    assert tables <= chat_tables()


def test_a_table_that_the_site_defines_itself_is_the_sites():
    theirs = Table("chat_rooms", MetaData(), Column("id", Integer))
    assert include_object(theirs, "chat_rooms", "table", False, None)
    assert include_object(theirs, "chat_rooms", "table", True, theirs)
    assert not include_object(theirs, "chat_rooms", "table", True, None)
    assert include_object(theirs, "chat_topics", "table", True, None)
