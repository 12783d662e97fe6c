"""What every database under the chat does, held against a SQLite file and a real PostgreSQL alike."""

import os
import threading
import warnings
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from chat.identity.names import BadName, NameTaken
from chat.store import migrate
from chat.store.control import Control
from chat.store.engine import BadDatabaseUrl, Transactions, make_engine, parse_url
from chat.store.models import metadata, now_ms
from chat.store.sql import SqlHistory
from chat.store.users import Users
from chat.wire.envelope import Identity
from tests.contract.threads import at_once, run

pytestmark = pytest.mark.contract


@pytest.fixture
def users(engine):
    return Users(engine, run)


@pytest.fixture
def control(engine):
    return Control(engine, run)


# Migrations


def test_the_migrations_make_what_the_models_say(engine):
    with engine.connect() as connection:
        opts = {"version_table": migrate.VERSION_TABLE, "include_object": is_in_models}
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, metadata) == []


def is_in_models(_thing, name, *_):
    """Tell whether a table, column or index is not one by which messages are searched: each database has its own."""
    return not name.startswith(("chat_search", "terms", "ix_chat_messages_terms"))


def test_a_start_knows_the_newest_revision():
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(Path(migrate.__file__).parent / "migrations"))
    assert scripts.get_current_head() == migrate.HEAD


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


def test_users_of_the_first_revision_are_there_after_the_next(empty_url):
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


# Users


def test_create_and_find(users):
    ada = users.create("Ada", "hash")
    assert users.get(ada.id) == ada == users.by_name("ADA")
    assert ada.identity == Identity(ada.id, "Ada")
    assert (ada.password_hash, ada.tokens_valid_after, ada.banned, ada.deleted_at) == ("hash", 0, False, None)
    assert abs(ada.created_at - now_ms()) < 10_000


def test_nobody(users):
    assert users.get("x") is None and users.by_name("x") is None
    assert not users.revoke("x", 1) and not users.ban("x") and not users.unban("x") and not users.delete("x")
    assert not users.set_password("x", "hash", 1)


@pytest.mark.parametrize("name", ["ada", "ADA", "Ａｄａ", " ada "])
def test_a_name_is_taken_in_any_form(users, name):
    users.create("Ada")
    with pytest.raises(NameTaken):
        users.create(name)


def test_a_name_that_looks_like_another_is_taken(users):
    users.create("coco")
    with pytest.raises(NameTaken):
        users.create("сосо")  # wholly Cyrillic


def test_a_bad_name_is_refused(users):
    with pytest.raises(BadName):
        users.create("a\u202eb")


def test_one_of_many_gets_the_name(users):
    results = at_once(*[lambda: users.create("ada")] * 8)
    assert sorted(type(result).__name__ for result in results) == ["NameTaken"] * 7 + ["User"]


def test_create_many_finds_and_creates_in_order(users):
    ada = users.create("Ada")
    bob, again, cy, bob_again = users.create_many(["bob", "ADA", "cy", "Bob"])
    assert again == ada and bob == bob_again
    assert [user.username for user in (bob, cy)] == ["bob", "cy"]
    assert users.get(cy.id) == cy


def test_create_many_is_all_or_nothing(users):
    users.create("coco")
    with pytest.raises(NameTaken, match="сосо"):
        users.create_many(["ada", "сосо"])
    with pytest.raises(BadName):
        users.create_many(["ada", ""])
    assert users.by_name("ada") is None


def test_create_many_for_a_crowd(users):
    names = [f"user{number:05d}" for number in range(3000)]
    assert [user.username for user in users.create_many(names)] == names
    assert users.create_many(names)[2999] == users.by_name("user02999")


def test_by_names(users):
    ada = users.create("ada")
    gone = users.create("gone")
    users.delete(gone.id)
    assert users.by_names(["x", "ADA", "gone", "ada"]) == [None, ada, None, ada]


def test_create_many_at_once(users):
    names = [f"user{number}" for number in range(100)]
    one, other = at_once(lambda: users.create_many(names), lambda: users.create_many(names[::-1]))
    assert one == other[::-1]


def test_set_password_ends_tokens(users):
    ada = users.create("ada", "old")
    assert users.set_password(ada.id, "new", 5000)
    assert users.get(ada.id)[2:4] == ("new", 5000)


def test_rehash_loses_against_a_new_password(users):
    ada = users.create("ada", "old")
    assert users.rehash(ada.id, "old", "old again")
    users.set_password(ada.id, "new", 1)
    assert not users.rehash(ada.id, "old again", "old for ever")
    assert users.get(ada.id).password_hash == "new"


def test_a_revocation_is_never_taken_back(users):
    ada = users.create("ada")
    users.revoke(ada.id, 5000)
    users.revoke(ada.id, 4000)
    assert users.get(ada.id).tokens_valid_after == 5000


def test_delete_keeps_the_name(users):
    ada = users.create("ada", "hash")
    assert users.delete(ada.id) and not users.delete(ada.id)
    assert users.get(ada.id) is None and users.by_name("ada") is None
    for again in (users.create, lambda name: users.create_many([name])):
        with pytest.raises(NameTaken):
            again("ada")
    assert users.revocations()[ada.id][0] >= ada.created_at


def test_revocations(users):
    ada, bob, cy = users.create_many(["ada", "bob", "cy"])
    users.create("dan")
    users.revoke(ada.id, 7000)
    users.ban(bob.id)
    users.ban(cy.id)
    users.unban(cy.id)
    assert users.revocations() == {ada.id: (7000, False), bob.id: (0, True)}
    assert users.get(bob.id).banned and not users.get(cy.id).banned


def test_ensure_makes_a_row_once(users):
    made = users.ensure(Identity("7", "Someone's very own name, longer than ours may be and \u202e odd"))
    assert users.ensure(made.identity) == made == users.get("7")
    assert made.password_hash is None


def test_ensure_renames(users):
    users.ensure(Identity("7", "ada"))
    assert users.ensure(Identity("7", "eve")).username == "eve"
    assert users.by_name("ada") is None and users.by_name("EVE").id == "7"


def test_ensure_follows_the_site_when_names_move(users):
    users.ensure(Identity("7", "ada"))
    users.ensure(Identity("8", "Ada"))
    assert users.by_name("ada").id == "8"
    assert users.get("7").username == "ada"


def test_ensure_takes_no_name_from_a_user_with_a_password(users):
    ada = users.create("ada", "hash")
    users.ensure(Identity("7", "ada"))
    assert users.by_name("ada") == ada
    assert users.ensure(Identity(ada.id, "renamed")) == ada


def test_ensure_raises_nobody_from_the_dead(users):
    ada = users.create("ada", "hash")
    users.delete(ada.id)
    assert users.ensure(ada.identity).deleted_at
    assert users.get(ada.id) is None


def test_ensure_at_once(users):
    made = at_once(*[lambda: users.ensure(Identity("7", "ada"))] * 8)
    assert {getattr(user, "id", user) for user in made} == {"7"}


# Control


def test_control_rows_come_in_order(control):
    assert control.last_id() == 0 and control.after(0) == []
    first = control.post("revoke", {"user_id": "7", "at": 5, "code": "kicked"})
    second = control.post("send", {"room": "lobby", "text": "你好"})
    assert first < second == control.last_id()
    assert control.after(first) == [(second, "send", {"room": "lobby", "text": "你好"})]
    assert [row.id for row in control.after(0)] == [first, second]


def test_a_pruned_id_is_not_used_again(control):
    first = control.post("send", {})
    assert control.prune(now_ms() + 1000) == 1
    assert control.prune(now_ms() + 1000) == 0
    assert control.post("send", {}) > first


def test_prune_keeps_what_is_young(control):
    control.post("send", {})
    assert control.prune(now_ms() - 60_000) == 0


def test_a_reader_misses_nothing_of_many_writers(control):
    """Ids must become visible in their order, or a reader steps over one that is committed late."""
    seen, done = [], threading.Event()

    def write():
        for number in range(25):
            control.post("send", {"n": number})

    def read():
        last = 0
        while True:
            finished = done.is_set()
            for row in control.after(last):
                seen.append(row.id)
                last = row.id
            if finished:
                return

    reader = threading.Thread(target=read)
    reader.start()
    results = at_once(*[write] * 8)
    done.set()
    reader.join()
    assert results == [None] * 8
    assert seen == sorted(seen) and len(seen) == 200


# Transactions


def test_an_exception_undoes_all(engine, control):
    def work(connection):
        connection.execute(text("DELETE FROM chat_control"))
        raise LookupError

    control.post("send", {})
    with pytest.raises(LookupError):
        Transactions(engine, run).write(work)
    assert len(control.after(0)) == 1


def test_run_gets_every_transaction(engine):
    calls = []

    def counting(function):
        calls.append(function)
        return function()

    users, control = Users(engine, counting), Control(engine, counting)
    users.create("ada")
    users.by_name("ada")
    control.last_id()
    assert len(calls) == 3


@pytest.fixture
def postgresql_engine(postgresql):
    engine = make_engine(postgresql())
    yield engine
    engine.dispose()


def test_a_forked_child_opens_its_own_connection(postgresql_engine):
    db = Transactions(postgresql_engine, run)

    def backend():
        return db.read(lambda connection: connection.execute(text("SELECT pg_backend_pid()")).scalar_one())

    ours = backend()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads
        child = os.fork()
    if child == 0:
        try:
            os._exit(0 if backend() != ours else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert backend() == ours


# What only one of them does


def test_sqlite_readers_go_on_beside_a_writer(tmp_path):
    url = f"sqlite:///{tmp_path}/chat.db"
    migrate.upgrade(url)
    engine = make_engine(url)
    users = Users(engine, run)
    ada = users.create("ada")

    def work(connection):
        connection.execute(text("UPDATE chat_users SET banned = 1"))
        return users.get(ada.id).banned

    assert Transactions(engine, run).write(work) is False
    assert users.get(ada.id).banned is True


def test_sqlite_file_is_private(tmp_path):
    path = tmp_path / "deep" / "chat.db"
    migrate.upgrade(f"sqlite:///{path}")
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///:memory:", "mysql://host/name", "nonsense", "", "postgresql://host:port/x"],
)
def test_a_useless_url_is_refused_with_a_sentence(url):
    with pytest.raises(BadDatabaseUrl, match=r"\w+ \w+"):
        make_engine(url)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_postgresql_means_psycopg_3(scheme):
    assert parse_url(f"{scheme}://host/name").drivername == "postgresql+psycopg"
