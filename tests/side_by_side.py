"""Every test, in two runs of pytest side by side: most tests wait for a server or a page, and two cores take both.

    python -m tests.side_by_side

The runs have no folder of tests, no server and no port in common. What the first one says is shown as it comes, what
the other one says at the end.
"""

import subprocess
import sys
import tempfile

#: Their folders, in the order in which they are run; about as long as each other.
RUNS = (("unit", "contract", "browser"), ("integration",))


def main():
    with tempfile.TemporaryFile("w+") as later:
        runs = [start(RUNS[0]), start(RUNS[1], stdout=later, stderr=subprocess.STDOUT)]
        codes = [wait(run) for run in runs]
        later.seek(0)
        print(later.read(), end="")
    return next(filter(None, codes), 0)


def start(folders, **options):
    """Begin a run; it keeps what it notes of the last run apart from the other's."""
    cache = f"cache_dir=.pytest_cache/{folders[-1]}"
    command = [sys.executable, "-m", "pytest", "-o", cache, *(f"tests/{folder}" for folder in folders)]
    return subprocess.Popen(command, **options)


def wait(run):
    """Return its exit code; Ctrl-C reaches it too, and it ends what it has begun."""
    try:
        return run.wait()
    except KeyboardInterrupt:
        return run.wait()


if __name__ == "__main__":
    sys.exit(main())
