"""The newest revision as migrate.py names it, without loading the revisions."""

from pathlib import Path

from alembic.script import ScriptDirectory

from chat.store import migrate


def test_the_named_newest_revision_is_the_newest():
    scripts = ScriptDirectory(str(Path(migrate.__file__).parent / "migrations"))
    assert scripts.get_current_head() == migrate.HEAD
