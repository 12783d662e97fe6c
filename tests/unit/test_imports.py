"""The import contracts of pyproject.toml hold, and fail for what they forbid."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (Path(sys.executable).with_name("lint-imports"), "--no-cache")
LAYERS = "Imports between packages go down only BROKEN"
CIRCLES = "No module imports itself in a circle BROKEN"
SOCKETIO = "Imports within socketio go down only BROKEN"
FLASK = "Flask and its extensions stay at the top BROKEN"


def check(folder):
    """Return the exit code and the output of import-linter in `folder`."""
    ran = subprocess.run(COMMAND, cwd=folder, capture_output=True, text=True, check=False)
    return ran.returncode, ran.stdout + ran.stderr


@pytest.fixture
def copy(tmp_path):
    """The sources in a folder of their own, to be broken."""
    for name in ("chat", "accounts", "bench"):
        shutil.copytree(
            ROOT / name, tmp_path / name, ignore=lambda folder, names: set(filter(is_no_source, names))
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def is_no_source(name):
    return name in ("static", "results", "__pycache__") or name.endswith((".json", ".c", ".h"))


def test_the_contracts_hold():
    code, output = check(ROOT)
    assert code == 0, output


def test_a_package_in_no_layer_breaks_the_contract(copy):
    (copy / "chat/extra").mkdir()
    (copy / "chat/extra/__init__.py").touch()
    code, output = check(copy)
    assert code == 1
    assert "chat.extra" in output


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("chat/wire/frames.py", "from ..rooms import hub", LAYERS),
        ("chat/rooms/limits.py", "def late():\n    from ..web import pages", LAYERS),
        ("chat/rooms/limits.py", "from . import hub", CIRCLES),
        ("chat/socketio/polling.py", "from . import engine", SOCKETIO),
        ("chat/socketio/sids.py", "from . import pids", SOCKETIO),
        ("chat/rooms/limits.py", "import flask", FLASK),
    ],
)
def test_a_forbidden_import_breaks_its_contract(copy, module, line, contract):
    with (copy / module).open("a") as file:
        file.write(f"\n{line}\n")
    code, output = check(copy)
    assert code == 1
    assert contract in output
