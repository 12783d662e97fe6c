"""The tables of settings, errors and close codes in the documents are those of the code."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from chat.config import Settings
from chat.wire.errors import FAILURES, CloseCode

ROOT = Path(__file__).parents[2]
PROTOCOL = (ROOT / "docs/protocol.md").read_text()
OPERATIONS = (ROOT / "docs/operations.md").read_text()


@pytest.mark.parametrize("field", fields(Settings), ids=lambda field: field.name)
def test_every_setting_is_in_the_operators_table_with_its_default(field):
    row = re.search(rf"^\| `CHAT_{field.name.upper()}` \| `(.*?)` \|", OPERATIONS, re.MULTILINE)
    assert row is not None
    assert eval(row[1]) == field.default  # the table writes defaults as Python does


@pytest.mark.parametrize("failure", FAILURES.values(), ids=lambda failure: failure.code)
def test_every_error_is_in_the_protocol_with_its_sentences_and_its_close(failure):
    row = next(line for line in PROTOCOL.splitlines() if line.startswith(f"| `{failure.code}` |"))
    assert failure.en in row
    assert failure.zh in row
    assert row.endswith(f"| {failure.close.value} |" if failure.close else "| |")


@pytest.mark.parametrize("code", CloseCode, ids=lambda code: code.name)
def test_every_close_code_is_in_the_protocol(code):
    table = PROTOCOL[PROTOCOL.index("## Close codes") :]
    assert re.search(rf"^\| (\d+, )*{code.value}(, \d+)* \|", table, re.MULTILINE)
