"""Run a test file once more in a process that gevent has patched: there the reactor has its other driver."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def is_patched():
    """Whether this is that process."""
    if "gevent" not in sys.modules:
        return False
    from gevent import monkey

    return monkey.is_module_patched("socket")


def again_under_gevent(path):
    """Hold that every test of the file at `path` passes there."""
    words = ["-m", "gevent.monkey", "--module", "pytest", "-q", "-p", "no:cacheprovider", str(path)]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
