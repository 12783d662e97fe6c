"""The backends of the contracts: SQLite files and the session's PostgreSQL for stores, Valkey servers for brokers."""

from types import SimpleNamespace

import pytest
from sqlalchemy import NullPool, create_engine, text

from chat.store import migrate
from chat.store.control import Control
from chat.store.engine import make_engine, parse_url
from chat.store.memory import MemoryHistory
from chat.store.models import metadata
from chat.store.sql import SqlHistory
from chat.store.users import Users
from tests import databases
from tests.contract.drafts import ADA, BOB, CY
from tests.contract.threads import run
from tests.tls_relay import tls_relay
from tests.valkey_cluster import running_cluster


@pytest.fixture(scope="session")
def valkey_cluster():
    """A cluster of Valkey servers; shared, so every site needs a prefix."""
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def valkey_over_tls(valkey_server, tmp_path_factory):
    """The session's Valkey server behind TLS."""
    with tls_relay(valkey_server.port, tmp_path_factory.mktemp("tls")) as (port, trusted):
        yield SimpleNamespace(url=f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={trusted}")


@pytest.fixture(scope="session")
def postgresql(postgresql_server):
    """A function that creates an empty database and returns its URL."""
    counter = iter(range(1000))

    def fresh():
        name = f"chat{next(counter)}"
        engine = create_engine(parse_url(postgresql_server.get_uri()), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return postgresql_server.get_uri(name)

    return fresh


@pytest.fixture(scope="session")
def migrated_postgresql(postgresql):
    """A function that empties a database except for the chat's tables and the lobby, and returns its URL.

    It is the same database each time: creating another costs 0.3 s and 8 MB.
    """
    url = postgresql()
    migrate.upgrade(url)
    engine = create_engine(parse_url(url), poolclass=NullPool)

    def fresh():
        with engine.begin() as connection:
            for statement in _EMPTY:
                connection.execute(text(statement))
        return url

    return fresh


#: Connections that are still open may hold locks, so they are ended first.
_EMPTY = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    "CREATE TEMPORARY TABLE lobby ON COMMIT DROP AS SELECT * FROM chat_rooms WHERE name = 'lobby'",
    f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY",
    "UPDATE lobby SET topic = '', first_seq = 1, last_seq = 0, last_at = created_at, changed = 0",
    "INSERT INTO chat_rooms SELECT * FROM lobby",
    "SELECT nextval('chat_rooms_id_seq')",
)


@pytest.fixture(scope="session")
def migrated_sqlite():
    """A function that puts a database with the chat's tables at a path and returns its URL."""
    return databases.migrated_sqlite


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request):
    """The name of a kind of database. Tests of histories add "memory"."""
    return request.param


@pytest.fixture
def empty_url(request, backend, tmp_path):
    """The URL of an empty database."""
    if backend == "sqlite":
        return f"sqlite:///{tmp_path}/instance/chat.db"
    return request.getfixturevalue("postgresql")()


@pytest.fixture
def url(request, backend, tmp_path):
    """The URL of a database with the chat's tables."""
    if backend == "sqlite":
        return request.getfixturevalue("migrated_sqlite")(tmp_path / "instance" / "chat.db")
    return request.getfixturevalue("migrated_postgresql")()


@pytest.fixture
def engine(url):
    """An engine for `url`."""
    engine = make_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture
def users(engine):
    return Users(engine, run)


@pytest.fixture
def control(engine):
    return Control(engine, run)


@pytest.fixture
def history(request, backend):
    """A history with the lobby and the users Ada, Bob and Cy."""
    if backend == "memory":
        history = MemoryHistory([ADA, BOB, CY])
        history.ensure_room("lobby")
        yield history
        return
    engine = request.getfixturevalue("engine")
    users, history = Users(engine, run), SqlHistory(engine, run)
    for user in (ADA, BOB, CY):
        users.ensure(user)
    yield history
    history.close()


@pytest.fixture
def add_user(request, backend, history):
    """add_user(identity) has the history find one more user."""
    return history.add_user if backend == "memory" else Users(request.getfixturevalue("engine"), run).ensure


@pytest.fixture
def another(request, backend, history):
    """The same history, as another process opens it."""
    if backend == "memory":
        yield history
        return
    engine = make_engine(request.getfixturevalue("url"))
    another = SqlHistory(engine, run)
    yield another
    another.close()
    engine.dispose()


@pytest.fixture
def lobby(history):
    return history.room("lobby")
