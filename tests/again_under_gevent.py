"""Run a test file once more in a process patched by gevent, where the reactor uses its other driver."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def is_patched():
    """Whether this process is patched by gevent."""
    if "gevent" not in sys.modules:
        return False
    from gevent import monkey

    return monkey.is_module_patched("socket")


def again_under_gevent(path):
    """Assert that every test of the file at `path` passes in a patched process."""
    words = ["-m", "gevent.monkey", "--module", "pytest", "-q", "-p", "no:cacheprovider", str(path)]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
