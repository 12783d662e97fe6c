"""Runs the tests of the chat page's models, tests/unit/js, with Node's test runner."""

import subprocess
from pathlib import Path

import pytest

from tools.node import find

ROOT = Path(__file__).parents[2]
FILES = sorted(Path(__file__).parent.glob("js/*.test.js"))


@pytest.fixture(scope="module")
def node():
    """The path of the Node that the Makefile uses."""
    return find()[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_models(node, path):
    command = [node, "--test", "--test-reporter=spec", path.relative_to(ROOT)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "tests 0" not in done.stdout
