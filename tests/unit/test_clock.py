"""The wall clock tells what time it is, and never how long something has lasted: an operator or NTP may set it."""

import ast
import re
import time
from pathlib import Path

import pytest

from accounts.throttle import Throttle
from chat.identity.guard import Grant, Guard, deadline_of
from chat.rooms.sweeper import ROUND, Sweeper
from chat.wire.envelope import Identity
from tests import client_owner as owners
from tests.unit.test_sweeper import Hub

ROOT = Path(__file__).parents[2]
SERVER = ("chat", "accounts", "app.py", "wsgi.py", "gunicorn.conf.py")
#: What reads the wall clock, and the chat's own functions that do.
READS = {"time.time", "time.time_ns", "time.localtime", "time.gmtime", "time.ctime", "time.strftime"} | {
    f"{kind}.{name}" for kind in ("datetime", "datetime.datetime") for name in ("now", "utcnow", "today")
}
OWN = {"now_ms", "_now_ms", "clock_ms", "deadline_of", "date.today", "datetime.date.today"}
NAMED = re.findall(r"`((?:chat|accounts)/[\w/]+\.py)`", (ROOT / "docs/guarantees.md").read_text())
HOUR = 3_600
ANN = Identity("1", "ann")


@pytest.fixture(params=[HOUR, -HOUR], ids=["forward", "back"])
def jump(request, monkeypatch):
    """Set the wall clock an hour forward or back."""
    right_time, right_time_ns = time.time, time.time_ns

    def set_clock():
        monkeypatch.setattr(time, "time", lambda: right_time() + request.param)
        monkeypatch.setattr(time, "time_ns", lambda: right_time_ns() + request.param * 10**9)

    return set_clock


# -- where it is read


def sources():
    for name in SERVER:
        path = ROOT / name
        yield from path.rglob("*.py") if path.is_dir() else [path]


def wall_clock_reads(tree):
    """The names by which a module reads the wall clock: calls, and functions of `time` that it imports by name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            name = ast.unparse(node)
            if name in READS or name.removeprefix("guard.").removeprefix("models.") in OWN:
                yield name
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            yield from (f"time.{alias.name}" for alias in node.names if f"time.{alias.name}" in READS)


def test_the_wall_clock_is_read_where_the_guarantees_say_so():
    reading = {
        str(path.relative_to(ROOT))
        for path in sources()
        if "migrations" not in path.parts and any(wall_clock_reads(ast.parse(path.read_text())))
    }
    assert reading == set(NAMED)


@pytest.mark.parametrize(
    "text",
    [
        "import time\nbegun = time.time()",
        "import time\nclock = time.time_ns",
        "from time import time",
        "from datetime import datetime\nnow = datetime.now()",
        "import datetime\nnow = datetime.datetime.utcnow()",
        "from .models import now_ms\nat = now_ms()",
    ],
)
def test_a_read_of_the_wall_clock_is_found(text):
    assert list(wall_clock_reads(ast.parse(text)))


def test_monotonic_time_is_no_wall_clock():
    assert not list(wall_clock_reads(ast.parse("import time\nbegun = time.monotonic()\ntime.sleep(1)")))


# -- what a jump does not change


def test_a_token_lasts_as_long_as_it_did(jump):
    hub = Hub()
    hub.now = time.monotonic()
    client, peer = owners.connect(hub)
    hub.all_clients.append(client)
    Sweeper(hub)
    client.set_grant(Grant(ANN, time.time() + 30, 0))
    jump()
    try:
        hub.pass_time(30 - 2 * ROUND)
        assert hub.refused == []
        hub.pass_time(4 * ROUND)
        assert hub.refused == [(client, "token_expired")]
    finally:
        client.drop()
        peer.sock.close()


def test_a_deadline_is_that_of_the_clock_at_the_time_of_the_check(jump):
    jump()
    assert abs(deadline_of(time.time() + 60) - time.monotonic() - 60) < 1
    assert deadline_of(float("inf")) == float("inf")


def make_guard():
    return Guard(lambda token: token, lambda claims: ANN)


def test_a_session_that_has_ended_is_remembered(jump):
    guard = make_guard()
    guard.end_session("one")
    jump()
    guard.end_session("two")
    assert guard.has_ended("one") and guard.has_ended("two")


def test_an_ended_session_is_forgotten_after_its_tokens_have_expired():
    guard = Guard(None, None, session_ms=0)
    guard.end_session("one")
    time.sleep(0.001)
    guard.end_session("two")
    assert not guard.has_ended("one") and guard.has_ended("two")


def test_a_user_is_admitted_after_a_revocation_and_can_be_revoked_again(jump):
    guard = make_guard()
    for _ in range(3):
        guard.revoke("1", guard.stamp("1"))
        jump()
        token = {"iat_ms": guard.stamp("1")}
        assert guard.check(token).identity == ANN
        guard.revoke("1", guard.stamp("1"))
        with pytest.raises(Exception, match="token_invalid"):
            guard.check(token)


def test_attempts_count_for_their_window(jump):
    throttle = Throttle(1, 60)
    assert throttle.take("ann") == 0
    jump()
    assert 0 < throttle.take("ann") <= 60
