"""Logs keep no query and no token, however a server or a site's log format writes them."""

import io
import logging

import pytest

from chat.web import redaction

SECRET = "s3cr3t"
JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxIn0.c2lnbmVk_-x"


@pytest.fixture
def log():
    """log(message, *args) is the line that one of the servers' loggers writes."""
    logger = logging.Logger("of a server")
    logger.addFilter(redaction.Redact())
    stream = io.StringIO()
    logger.addHandler(logging.StreamHandler(stream))

    def write(message, *args, **options):
        logger.info(message, *args, **options)
        return stream.getvalue()

    return write


@pytest.mark.parametrize(
    "query",
    [
        f"?token={SECRET}",
        f"?%74oken={SECRET}",
        f"?%54%4f%4b%45%4E={SECRET}",
        f"?TOKEN={SECRET}",
        f"?EIO=4&transport=polling&sid={SECRET}",
        f"?jwt={SECRET}&x=1",
        f"?x='&token={SECRET}",
        f'?x="&token={SECRET}',
        f"?a;token={SECRET}",
        f"?{SECRET}",
        f"?a?token={SECRET}",
        f"?key={SECRET}",
        f"%3Ftoken={SECRET}",
        f"%3ftoken={SECRET}",
        f"?a=1#token={SECRET}",
        f"?\xa0token={SECRET}",
        f"?\ttoken={SECRET}",
    ],
)
def test_a_query_is_cut_out_whole(log, query):
    line = f"GET /socket.io/{query} HTTP/1.1"
    written = log('"%s" 200 17', line)
    assert SECRET not in written
    assert written.startswith('"GET /socket.io/') and written.endswith('[redacted] HTTP/1.1" 200 17\n')


def test_a_line_without_a_query_stays(log):
    line = '127.0.0.1 - - [29/Nov/2026] "GET /chat HTTP/1.1" 200 -'
    assert log(line) == line + "\n"
    assert log("really? yes, %d times", 5).endswith("really? yes, 5 times\n")


def test_a_jwt_is_cut_out_wherever_it_stands(log):
    assert JWT[40:] not in log("/reset/%s and Bearer %s", JWT, JWT)


def test_gunicorns_atoms_are_redacted_by_what_they_are(log):
    atoms = {
        "r": f"GET /ws/chat?token={SECRET} HTTP/1.1",
        "q": f"token={SECRET}",
        "f": f"https://chat.example/account/reset?key={SECRET}",
        "{cookie}i": f"session={SECRET}",
        "{authorization}i": f"Bearer {SECRET}",
        "{x-access-token}i": SECRET,
        "{set-cookie}o": f"session={SECRET}",
        "{location}o": f"/login?next={SECRET}",
        "{query_string}e": f"token={SECRET}",
        "{raw_uri}e": f"/ws/chat?token={SECRET}",
        "{http_cookie}e": f"session={SECRET}",
        "u": "-",
    }
    written = log(" ".join(f"%({name})s" for name in atoms), dict(atoms))
    assert SECRET not in written
    assert written.startswith(
        "GET /ws/chat?[redacted] HTTP/1.1 [redacted] https://chat.example/account/reset?[red"
    )


def test_an_exception_is_redacted_as_argument_and_in_its_traceback(log):
    error = ValueError(f"Invalid request line: GET /?token={SECRET} HTTP/9")
    assert SECRET not in log("Invalid request: %s", error)
    written = log("failed", exc_info=error)
    assert SECRET not in written
    assert "ValueError: Invalid request line" in written


@pytest.mark.parametrize("args", [(), (5, None, 2.5)])
def test_other_arguments_stay(log, args):
    assert log("as they are" + " %s" * len(args), *args).startswith("as they are")
