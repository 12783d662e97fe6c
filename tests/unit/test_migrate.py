"""What migrate.py knows of the revisions without loading them."""

from pathlib import Path

from alembic.script import ScriptDirectory

from chat.store import migrate


def test_the_newest_revision_is_the_one_that_a_start_looks_for():
    scripts = ScriptDirectory(str(Path(migrate.__file__).parent / "migrations"))
    assert scripts.get_current_head() == migrate.HEAD
