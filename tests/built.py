"""Builds the front end for tests that use it."""

import fcntl
import os
import subprocess
from contextlib import contextmanager
from functools import cache

from tests.servers import ROOT


@cache
def build():
    """Build it if its sources are newer, once per test run."""
    environment = {key: value for key, value in os.environ.items() if key != "CHAT_ASSETS"}
    command = ["make", "--silent", "--old-file=.venv/.site", "chat/static/dist/manifest.json"]
    with locked(ROOT):
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=600
        )
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def locked(folder):
    """Hold a lock on a folder: the workers of pytest-xdist would build at the same time."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
