"""The tables of errors and close codes."""

import re
from pathlib import Path

import pytest

import chat
from chat.wire.errors import EXPIRED, FAILURES, RECONNECT, ChatError, CloseCode, Failure

PROTOCOL = Path(__file__).parents[2] / "docs" / "protocol.md"
SOURCES = [path for path in Path(chat.__file__).parent.rglob("*.py") if path.name != "errors.py"]
#: The table of the protocol: what each close asks of a client.
CLOSES = {
    1000: "no",
    1001: "with jittered backoff",
    1002: "with jittered backoff",
    1003: "with jittered backoff",
    1007: "with jittered backoff",
    1009: "with jittered backoff",
    1011: "with jittered backoff",
    1012: "with jittered backoff",
    1013: "after a longer backoff",
    4401: "once, with a fresh token",
    4403: "no",
    4408: "with jittered backoff, then resume",
    4429: "after retry_after",
}


@pytest.fixture(params=FAILURES.values(), ids=FAILURES)
def row(request) -> Failure:
    return request.param


def test_every_failure_has_a_sentence_in_both_languages(row):
    assert row.sentence("en") == row.en
    assert row.sentence("zh") == row.zh
    if row.en != EXPIRED:
        assert row.en.isascii() and row.en.endswith(".")
        assert re.search(r"[\u4e00-\u9fff]", row.zh) and row.zh.endswith("。")


def test_other_languages_fall_back_to_english(row):
    assert row.sentence("fr") == row.en


def test_a_bad_token_gets_the_original_servers_sentence_in_any_language():
    for code in ("token_expired", "token_invalid"):
        assert {FAILURES[code].en, FAILURES[code].zh} == {"token过期"}
        assert FAILURES[code].close == 4401


def test_a_code_is_an_identifier(row):
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", row.code)
    assert FAILURES[row.code] is row


def test_every_failure_is_raised_somewhere(row):
    assert any(f'"{row.code}"' in path.read_text() for path in SOURCES)


def test_every_raised_failure_is_in_the_table():
    raised = {code for path in SOURCES for code in re.findall(r'ChatError\("(\w+)"', path.read_text())}
    assert raised
    assert raised <= FAILURES.keys()
    with pytest.raises(KeyError):
        ChatError("no_such_code")


def test_every_close_code_has_a_way_to_reconnect():
    assert {int(code): str(what) for code, what in RECONNECT.items()} == CLOSES
    assert set(CloseCode) == RECONNECT.keys()


def test_failures_close_with_the_codes_of_the_table():
    closing = {code: int(row.close) for code, row in FAILURES.items() if row.close is not None}
    assert closing == {
        "flooding": 4429,
        "token_expired": 4401,
        "token_invalid": 4401,
        "token_mismatch": 4401,
        "kicked": 4403,
        "banned": 4403,
        "server_full": 1013,
        "too_many_for_user": 1013,
        "too_many_for_address": 1013,
        "internal": 1011,
    }


def test_an_error_carries_ref_and_retry_after():
    error = ChatError("rate_limited", "m1", 0.5)
    assert (error.code, error.ref, error.retry_after) == ("rate_limited", "m1", 0.5)
    assert str(error) == "rate_limited"


# -- docs/protocol.md


def documented(begin, end):
    """The rows of the table between two marks, each a list of its cells."""
    text = PROTOCOL.read_text()
    lines = text[text.index(begin) : text.index(end)].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")][
        2:
    ]


def test_the_documented_table_of_errors_is_this_one():
    expected = [
        [
            f"`{row.code}`",
            row.en if row.en == row.zh else f"{row.en} / {row.zh}",
            "" if row.close is None else str(int(row.close)),
        ]
        for row in FAILURES.values()
    ]
    assert documented("<!-- errors -->", "<!-- /errors -->") == expected


def test_the_document_explains_every_close_code():
    rows = documented("## Close codes", "## Where this departs")
    told = {int(code): what for codes, _, what in rows for code in codes.split(",")}
    assert told.keys() == set(CloseCode)
    for code, what in told.items():
        assert what.split(";")[0].replace("`", "") in (
            RECONNECT[code],
            RECONNECT[code].replace("jittered ", ""),
        )
