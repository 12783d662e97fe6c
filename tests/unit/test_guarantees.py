"""Every promise of docs/guarantees.md names the test that holds the chat to it, and that test exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/guarantees.md").read_text()
PROMISED, NOT_PROMISED = TEXT.split("## What is not promised")
NAME = re.compile(r"`(test_\w+)`")
PROMISES = re.findall(r"^- (.*?)(?=\n- |\n\n|\Z)", PROMISED, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def tests():
    sources = (path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    return {name for source in sources for name in re.findall(r"^def (test_\w+)", source, re.MULTILINE)}


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise[:40])
def test_every_promise_names_a_test_that_exists(promise, tests):
    named = NAME.findall(promise)
    assert named
    assert set(named) <= tests


def test_what_is_not_promised_is_held_to_by_nothing():
    assert not NAME.findall(NOT_PROMISED)
    assert len(PROMISES) > 20
