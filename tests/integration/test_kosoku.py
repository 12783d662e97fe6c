"""The Autobahn cases, by their native runner kosoku, against an echo on the chat's own socket path."""

import json
import os
import subprocess

import pytest

from tests.servers import BIN, Server

#: Groups of cases and how many there are: framing, pings, reserved bits, opcodes, fragments, UTF-8, closing; 10 is
#: one of odd fragments, 9 sends and gets back up to 16 MiB. 12 and 13 are compression, which is never negotiated.
RULES = ("1", "2", "3", "4", "5", "6", "7", "10"), 247
BULK = ("9",), 54
#: The runner's words for what conforms.
GOOD = {"OK", "NON-STRICT", "INFORMATIONAL"}


@pytest.fixture(scope="module", params=["gunicorn-gevent", "gunicorn-gthread"])
def echo_server(request):
    # Without the project's gunicorn.conf.py: the echo has no chat to drain.
    options = ("--config", os.devnull, "--no-control-socket")
    with Server(request.param, app="tests.integration.echo_app:create_app()", options=options) as server:
        yield server


def run_cases(port, groups, folder):
    """Run kosoku in a process of its own (it patches binascii and sys.path); return {case: its entry}."""
    chosen = [word for group in groups for word in ("--include", f"{group}.*")]
    command = [BIN / "kosoku", f"ws://127.0.0.1:{port}", *chosen, "--parallelism", "4", "--outdir", folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    index = folder / "index.json"
    assert index.exists(), done.stdout + done.stderr
    [cases] = json.loads(index.read_text()).values()
    return cases


@pytest.mark.parametrize(("groups", "count"), [RULES, BULK], ids=["rules", "bulk"])
def test_no_case_fails(echo_server, groups, count, tmp_path):
    cases = run_cases(echo_server.port, groups, tmp_path)
    failed = {
        name: (case["behavior"], case["behaviorClose"])
        for name, case in cases.items()
        if not {case["behavior"], case["behaviorClose"]} <= GOOD
    }
    assert not failed
    assert len(cases) == count
