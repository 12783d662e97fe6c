"""Migrations, on a SQLite file and on PostgreSQL."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from chat.identity.reserved import title_key
from chat.store import migrate
from chat.store.control import Control
from chat.store.engine import make_engine
from chat.store.models import metadata
from chat.store.sql import SqlHistory
from chat.store.users import Users
from tests.contract.threads import at_once, run

pytestmark = pytest.mark.contract


def test_the_migrations_create_the_tables_of_the_models(engine):
    with engine.connect() as connection:
        opts = {"version_table": migrate.VERSION_TABLE, "include_object": is_in_models}
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, metadata) == []


def is_in_models(_thing, name, *_):
    """Whether a table, column or index does not belong to the search, which differs between databases."""
    return not name.startswith(("chat_search", "terms", "ix_chat_messages_terms"))


def test_upgrade_again_changes_nothing(url, users):
    users.create("ada")
    migrate.upgrade(url)
    assert users.by_name("ada")


def test_upgrades_at_once_agree(empty_url):
    assert at_once(*[lambda: migrate.upgrade(empty_url)] * 4) == [None] * 4


def test_down_and_up_again(url, engine):
    migrate.downgrade(url, "base")
    assert [name for name in inspect(engine).get_table_names() if name != migrate.VERSION_TABLE] == []
    migrate.upgrade(url)
    assert "chat_users" in inspect(engine).get_table_names()


def test_users_of_the_first_revision_survive_the_upgrade(empty_url):
    migrate.upgrade(empty_url, "0001")
    engine = make_engine(empty_url)
    with engine.begin() as connection:
        row = "('7', 'Ada', 'ada', 'ada', 'hash', 5, true, 6, null)"
        connection.execute(text(f"INSERT INTO chat_users VALUES {row}"))
        connection.execute(
            text("INSERT INTO chat_control (kind, payload, created_at) VALUES ('send', '{}', 1)")
        )
    migrate.upgrade(empty_url)
    assert Users(engine, run).get("7") == ("7", "Ada", "hash", 5, True, 6, None)
    assert Control(engine, run).after(0)[0].kind == "send"
    lobby = SqlHistory(engine, run).room("lobby")
    assert (lobby.kind, lobby.first_seq, lobby.last_seq, len(lobby.epoch)) == ("public", 1, 0, 8)
    engine.dispose()


def test_users_of_the_third_revision_are_found_by_name(empty_url):
    migrate.upgrade(empty_url, "0003")
    engine = make_engine(empty_url)
    insert = text("INSERT INTO chat_users (id, username, name_key, created_at) VALUES (:id, :name, :key, 0)")
    rows = [
        {"id": f"{number:05}", "name": f"User {number}", "key": f"user {number}"} for number in range(2500)
    ]
    rows += [{"id": "7", "name": "Ｂob", "key": "bob"}, {"id": "8", "name": "BOB", "key": " 8"}]
    with engine.begin() as connection:
        connection.execute(insert, rows)
    migrate.upgrade(empty_url)
    users = Users(engine, run)
    assert {user.id for user in users.named("bob")} == {"7", "8"}
    assert all(users.by_names([row["name"] for row in rows]))
    engine.dispose()
    migrate.downgrade(empty_url, "0003")
    assert "lookup_key" not in {column["name"] for column in inspect(engine).get_columns("chat_users")}
    migrate.upgrade(empty_url)
    assert Users(engine, run).addressed("BOB").id == "8"
    engine.dispose()


def test_titles_of_the_fourth_revision_are_compared_too(empty_url):
    migrate.upgrade(empty_url, "0004")
    engine = make_engine(empty_url)
    columns = "name, title, topic, kind, ephemeral, epoch, first_seq, last_seq, last_at, created_at, changed"
    values = ":name, :title, '', :kind, false, 'e', 1, 0, 0, 0, 1"
    rows = [{"name": f"p-{n}", "title": f"Room {n}", "kind": "private"} for n in range(2500)]
    rows += [
        {"name": "Plans", "title": "Plans", "kind": "public"},
        {"name": "dm:1:2", "title": "", "kind": "direct"},
    ]
    with engine.begin() as connection:
        connection.execute(text(f"INSERT INTO chat_rooms ({columns}) VALUES ({values})"), rows)
    migrate.upgrade(empty_url)
    keys = text("SELECT count(*) FROM chat_rooms WHERE title_key IS NULL AND kind <> 'direct'")
    with engine.begin() as connection:
        assert connection.execute(keys).scalar() == 0
        found = connection.execute(text("SELECT title_key FROM chat_rooms WHERE name = 'Plans'")).scalar()
        assert found == title_key("PIans") == title_key("Plans")
    engine.dispose()
    migrate.downgrade(empty_url, "0004")
