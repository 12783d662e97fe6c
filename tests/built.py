"""Builds the front end for tests that use it."""

import os
import subprocess
from functools import cache

from tests.servers import ROOT


@cache
def build():
    """Build it if its sources are newer, once per test run."""
    environment = {key: value for key, value in os.environ.items() if key != "CHAT_ASSETS"}
    command = ["make", "--silent", "--old-file=.venv/.site", "chat/static/dist/manifest.json"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
