"""Every test, in three runs of pytest side by side: most tests wait for a server or a page, and two cores take it.

    python -m tests.side_by_side

The runs have no file of tests, no server and no port in common. What the first one says is shown as it comes, what the
others say at the end.
"""

import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

TESTS = Path(__file__).resolve().parent
#: What each runs, in that order; about as long as each other.
RUNS = (
    ("unit", "contract", "browser", "integration/test_a*.py"),
    ("integration/test_[b-r]*.py",),
    ("integration/test_[s-z]*.py",),
)


def main():
    with ExitStack() as stack:
        logs = [None, *(stack.enter_context(tempfile.TemporaryFile("w+")) for _ in RUNS[1:])]
        runs = [start(number, log) for number, log in enumerate(logs)]
        codes = [wait(run) for run in runs]
        for log in logs[1:]:
            log.seek(0)
            print(log.read(), end="", flush=True)
    return next(filter(None, codes), 0)


def start(number, log):
    """Begin a run; it keeps what it notes of the last run apart from the others'."""
    paths = [str(path) for pattern in RUNS[number] for path in sorted(TESTS.glob(pattern))]
    command = [sys.executable, "-m", "pytest", "-o", f"cache_dir=.pytest_cache/{number}", *paths]
    return subprocess.Popen(command, stdout=log, stderr=log and subprocess.STDOUT)


def wait(run):
    """Return its exit code; Ctrl-C reaches it too, and it ends what it has begun."""
    try:
        return run.wait()
    except KeyboardInterrupt:
        return run.wait()


if __name__ == "__main__":
    sys.exit(main())
