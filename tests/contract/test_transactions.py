"""Transactions and engines, on a SQLite file and on PostgreSQL."""

import os
import warnings

import pytest
from sqlalchemy import text

from chat.store import migrate
from chat.store.control import Control
from chat.store.engine import BadDatabaseUrl, Transactions, make_engine, parse_url
from chat.store.users import Users
from tests.contract.threads import run

pytestmark = pytest.mark.contract


def test_an_exception_rolls_everything_back(engine, control):
    def work(connection):
        connection.execute(text("DELETE FROM chat_control"))
        raise LookupError

    control.post("send", {})
    with pytest.raises(LookupError):
        Transactions(engine, run).write(work)
    assert len(control.after(0)) == 1


def test_every_transaction_runs_through_run(engine):
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


# SQLite, and URLs


def test_sqlite_can_be_read_during_a_write(tmp_path):
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
def test_an_unusable_url_is_refused_with_a_sentence(url):
    with pytest.raises(BadDatabaseUrl, match=r"\w+ \w+"):
        make_engine(url)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_postgresql_means_psycopg_3(scheme):
    assert parse_url(f"{scheme}://host/name").drivername == "postgresql+psycopg"
