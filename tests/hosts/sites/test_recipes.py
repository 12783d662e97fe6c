"""The guide's recipes where every extension is installed: tests/integration/test_site_recipes*.py, none skipped."""

import os
import subprocess

import pytest

from tests.hosts.sites import install

EXTENSIONS = (
    "pytest",
    *("flask-login", "flask-wtf", "flask-babel", "flask-seasurf", "flask-talisman", "flask-migrate"),
    *(
        "flask-security[fsqla,common]",
        "flask-admin",
        "flask-appbuilder",
        "flask-socketio",
        "flask-sqlalchemy",
    ),
)
RECIPES = sorted((install.ROOT / "tests" / "integration").glob("test_site_recipes*.py"))


@pytest.fixture(scope="module")
def outcome():
    venv = install.Venv("recipes", EXTENSIONS)
    venv.add_chat()
    command = [
        venv.python,
        "-m",
        "pytest",
        "-q",
        "-rA",
        "--noconftest",
        "-c",
        "/dev/null",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(
        [*command, *RECIPES],
        cwd=venv.folder,
        env={**os.environ, "PYTHONPATH": str(install.ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    return done.stdout


def test_every_recipe_works_with_the_extension_that_it_is_for(outcome):
    summary = outcome.splitlines()[-1]
    assert "passed" in summary
    assert "failed" not in summary and "skipped" not in summary and "error" not in summary, outcome[-6000:]
