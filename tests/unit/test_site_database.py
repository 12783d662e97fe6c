"""The database of a site's chat: a temporary one under test, a file shared with the site, one that cannot be used."""

import logging
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from flask import Flask

from chat import Chat, ConfigError, Identity

ROOT = Path(__file__).parents[2]
NOBODY = 65_534


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Make a site with an instance folder of its own: site(**config)."""
    monkeypatch.delenv("CHAT_DATABASE_URL", raising=False)

    def make(instance=tmp_path / "instance", **config):
        app = Flask(__name__, instance_path=str(instance))
        app.config.update({"SECRET_KEY": "k" * 32} | config)
        return app

    return make


def database_of(app):
    return Path(app.extensions["chat"].database_url.removeprefix("sqlite:///"))


def instance_files(tmp_path):
    return [path.name for path in (tmp_path / "instance").glob("*")]


# -- under test


def test_an_app_under_test_leaves_the_instance_folder_alone(site, tmp_path):
    app = site(TESTING=True)
    Chat(app)
    with app.app_context():
        app.extensions["chat"].send("lobby", "hello")
    assert database_of(app).exists()
    assert instance_files(tmp_path) == []


def test_a_test_may_set_testing_after_the_app_was_made(site, tmp_path):
    app = site()
    Chat(app, identity_loader=lambda: Identity("1", "Anna"))
    app.config.update(TESTING=True)
    assert app.test_client().post("/chat/token").status_code == 200
    assert instance_files(tmp_path) == []


def test_each_app_under_test_has_a_database_of_its_own(site):
    one, other = site(TESTING=True), site(TESTING=True)
    Chat(one)
    Chat(other)
    one.extensions["chat"].users.create("Anna")
    assert other.extensions["chat"].users.by_name("Anna") is None


def test_a_test_may_name_its_database(site, tmp_path):
    app = site(TESTING=True, CHAT_DATABASE_URL=f"sqlite:///{tmp_path}/named.db")
    Chat(app)
    assert database_of(app) == tmp_path / "named.db"
    assert database_of(app).exists()


RUNS_AND_ENDS = """
from flask import Flask
from chat import Chat
app = Flask("site", instance_path={instance!r})
app.config.update(SECRET_KEY="k" * 32, TESTING={testing})
Chat(app)
print(app.extensions["chat"].database_url)
"""


def run_site(tmp_path, testing):
    """Run a site in a process of its own; return the path of its chat's database."""
    env = {key: value for key, value in os.environ.items() if key != "CHAT_DATABASE_URL"}
    code = RUNS_AND_ENDS.format(instance=str(tmp_path / "instance"), testing=testing)
    child = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True
    )
    return Path(child.stdout.strip().removeprefix("sqlite:///"))


def test_the_temporary_database_is_deleted_at_the_end(tmp_path):
    path = run_site(tmp_path, testing=True)
    assert path.name == "chat.db"
    assert not path.parent.exists()
    assert instance_files(tmp_path) == []


def test_a_site_that_is_not_under_test_has_its_database_in_the_instance_folder(tmp_path):
    assert run_site(tmp_path, testing=False) == tmp_path / "instance" / "chat.db"
    assert "chat.db" in instance_files(tmp_path)


# -- a file that the site has made


@pytest.fixture
def site_file(tmp_path):
    """The site's own SQLite file."""
    path = tmp_path / "site.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE member (id INTEGER)")
    path.chmod(0o644)
    return path


def journal_mode(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA journal_mode").fetchone()[0]


def use(app):
    """Have the chat write on both of its ways to the database."""
    chat = app.extensions["chat"]
    chat.users.create("Anna")
    with app.app_context():
        chat.send("lobby", "hello")
    chat.history.close()


def test_a_file_that_the_chat_creates_is_private_and_in_wal_mode(site, tmp_path):
    app = site(CHAT_DATABASE_URL=f"sqlite:///{tmp_path}/new/chat.db")
    Chat(app)
    use(app)
    path = tmp_path / "new" / "chat.db"
    assert (journal_mode(path), stat.S_IMODE(path.stat().st_mode)) == ("wal", 0o600)


def test_the_sites_own_file_keeps_its_mode_and_its_journal(site, site_file, caplog):
    app = site(CHAT_DATABASE_URL=f"sqlite:///{site_file}")
    Chat(app)
    use(app)
    assert (journal_mode(site_file), stat.S_IMODE(site_file.stat().st_mode)) == ("delete", 0o644)
    (record,) = [record for record in caplog.records if record.name == "flask_chat"]
    assert "PRAGMA journal_mode = WAL" in record.getMessage()


def test_nothing_is_said_of_a_shared_file_in_wal_mode(site, site_file, caplog):
    with closing(sqlite3.connect(site_file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    app = site(CHAT_DATABASE_URL=f"sqlite:///{site_file}")
    Chat(app)
    use(app)
    assert not caplog.records
    assert journal_mode(site_file) == "wal"


def test_a_copy_of_the_chats_own_database_gets_wal_mode_again(site, tmp_path, caplog):
    path = tmp_path / "copy.db"
    Chat(site(CHAT_DATABASE_URL=f"sqlite:///{tmp_path}/chat.db"))
    with closing(sqlite3.connect(tmp_path / "chat.db")) as connection:
        connection.execute("VACUUM INTO ?", [str(path)])
    assert journal_mode(path) == "delete"
    Chat(site(CHAT_DATABASE_URL=f"sqlite:///{path}"))
    assert journal_mode(path) == "wal"
    assert not caplog.records


# -- a database that cannot be used


@contextmanager
def without_privileges():
    """Root may write everywhere: be nobody within the block."""
    if os.geteuid():
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder():
    """A folder that everybody may enter; pytest's own are private."""
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="chat-site-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def refusal(app, caplog):
    """The one sentence with which the chat refuses to start."""
    with caplog.at_level(logging.INFO), pytest.raises(ConfigError) as refused:
        Chat(app)
    assert "chat" not in app.extensions
    # Threads of other tests may be logging too, about databases that have gone.
    mine = [record for record in caplog.records if record.module == "extension"]
    assert [record.getMessage() for record in mine] == [str(refused.value)]
    assert refused.value.__context__ is None or refused.value.__suppress_context__, "no second traceback"
    return str(refused.value)


def test_an_instance_folder_that_cannot_be_written(site, open_folder, caplog):
    Chat(
        site(CHAT_DATABASE_URL=f"sqlite:///{open_folder}/warm-up.db")
    )  # what is imported once is imported by now
    app = site(CHAT_DATABASE_URL=f"sqlite:///{open_folder}/instance/chat.db")
    with without_privileges():
        sentence = refusal(app, caplog)
    assert f"{open_folder}/instance/chat.db: Permission denied. Make file and folder writable" in sentence


def test_a_database_that_cannot_be_written(site, open_folder, caplog):
    path = open_folder / "chat.db"
    Chat(site(CHAT_DATABASE_URL=f"sqlite:///{path}"))
    path.chmod(0o444)
    with without_privileges():
        sentence = refusal(site(CHAT_DATABASE_URL=f"sqlite:///{path}"), caplog)
    assert f"{path}: Permission denied. Make file and folder writable" in sentence


def test_a_folder_in_place_of_the_database(site, tmp_path, caplog):
    sentence = refusal(site(CHAT_DATABASE_URL=f"sqlite:///{tmp_path}"), caplog)
    assert f"{tmp_path}: Is a directory." in sentence


def test_a_file_in_place_of_the_folder(site, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    assert "/file/chat.db: " in refusal(site(CHAT_DATABASE_URL=f"sqlite:///{tmp_path}/file/chat.db"), caplog)


def test_a_file_that_is_not_a_database(site, tmp_path, caplog):
    (tmp_path / "chat.db").write_text("Dear diary, " * 100)
    sentence = refusal(site(CHAT_DATABASE_URL=f"sqlite:///{tmp_path}/chat.db"), caplog)
    assert "chat.db: file is not a database." in sentence


def test_a_server_that_does_not_answer_is_named_without_its_password(site, caplog):
    url = "postgresql://chat:secret@127.0.0.1:1/site?password=hidden"
    sentence = refusal(site(CHAT_DATABASE_URL=url), caplog)
    assert "postgresql://chat:***@127.0.0.1:1/site: " in sentence
    assert "Check that the server runs" in sentence
    assert "secret" not in sentence
    assert "hidden" not in sentence


@pytest.mark.parametrize("backend", ["mysql", "mysql+pymysql", "mariadb", "mssql"])
def test_other_databases_are_refused_by_name(site, backend, caplog):
    sentence = refusal(site(CHAT_DATABASE_URL=f"{backend}://root:secret@host/site"), caplog)
    assert sentence == (
        f"CHAT_DATABASE_URL names {backend.partition('+')[0]}, on which the chat does not run. Set it to "
        "sqlite:///path or postgresql://host/name; the site itself may keep its own database."
    )
