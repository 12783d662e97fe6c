"""Commands that need no database do not pay for loading one: what a child Python has imported after each of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.databases import migrated_sqlite

ROOT = Path(__file__).parents[2]
#: Each takes a tenth of a second or more to import.
HEAVY = {"sqlalchemy", "alembic", "psycopg", "redis", "prometheus_client"}

CHECK_SETTINGS = """
import runpy, types
runpy.run_path("gunicorn.conf.py")
from chat.gunicorn_hooks import check_settings
limits = types.SimpleNamespace(workers=1, graceful_timeout=30, timeout=30)
assert check_settings(limits) == 0
"""
SHOW_HELP = """
import sys
from flask.cli import main
sys.argv = ["flask", "--app", "app", "chat", "--help"]
try:
    main()
except SystemExit as end:
    assert end.code == 0
"""


def imported_by(code, tmp_path, **env):
    """The names of the packages that a child has imported when `code` has run, of all that it could import."""
    code += "\nimport sys\nprint('imported:', *sys.modules)"
    env = {"SECRET_KEY": "s" * 32, "CHAT_DATABASE_URL": f"sqlite:///{tmp_path}/chat.db"} | env
    child = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | env,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(child.stdout.partition("imported: ")[2].split())


def test_the_check_of_the_settings_imports_neither_flask_nor_a_database(tmp_path):
    imported = imported_by(CHECK_SETTINGS, tmp_path)
    assert "chat.config" in imported
    assert imported.isdisjoint(HEAVY | {"flask", "gevent"})


def test_a_database_url_and_a_broker_are_checked_without_their_libraries(tmp_path):
    urls = {"CHAT_DATABASE_URL": "postgresql://host/name", "CHAT_REDIS_URL": "redis://host"}
    assert imported_by(CHECK_SETTINGS, tmp_path, **urls).isdisjoint(HEAVY)


def test_the_help_of_flask_chat_opens_no_database(tmp_path):
    imported = imported_by(SHOW_HELP, tmp_path)
    assert {"app", "chat.service", "chat.cli"} <= imported
    assert imported.isdisjoint(HEAVY)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "code", ["import chat", "from chat import *", "from chat import Chat, User, RoomTaken"]
)
def test_the_public_names_can_be_imported_without_a_database(tmp_path, code):
    assert imported_by(code, tmp_path).isdisjoint(HEAVY)


def test_a_site_on_sqlite_loads_no_other_database(tmp_path):
    migrated_sqlite(tmp_path / "chat.db")  # the migrations themselves name PostgreSQL's types
    imported = imported_by("import app\napp.create_app()", tmp_path)
    assert "sqlalchemy.dialects.sqlite" in imported
    assert imported.isdisjoint({"sqlalchemy.dialects.postgresql", "psycopg", "redis"})
