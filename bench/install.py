"""Install the load generator and the other servers, once. A server that cannot be installed is reported and skipped."""

import filecmp
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ANCHORS = HERE / "anchors"
SWARM = HERE / "swarm"


class CannotMeasure(Exception):
    """The bench cannot run on this machine; the message says what to do."""


def prepare(directory):
    """Bring `directory` up to date: the compiled load generator, and the npm and pip packages that anchors/ lists."""
    if not shutil.which("taskset"):
        raise CannotMeasure(
            "The bench needs Linux: it reads /proc and pins processes to a core with `taskset`."
        )
    directory.mkdir(parents=True, exist_ok=True)
    compile_swarm(directory)
    for install, wanted in ((npm_packages, "package.json"), (pip_packages, "requirements.txt")):
        done = directory / f"installed-{wanted}"
        if done.exists() and filecmp.cmp(done, ANCHORS / wanted, shallow=False):
            continue
        if install(directory):
            shutil.copy(ANCHORS / wanted, done)


def compile_swarm(directory):
    """Compile the load generator unless it is newer than its sources."""
    program, sources = directory / "load", sorted(SWARM.glob("*.[ch]"))
    if program.exists() and program.stat().st_mtime > max(path.stat().st_mtime for path in sources):
        return
    if not shutil.which("cc"):
        raise CannotMeasure(
            "The load generator is written in C and needs `cc` (Debian: apt-get install gcc libc6-dev)."
        )
    subprocess.check_call(["cc", "-O2", "-o", program, *(path for path in sources if path.suffix == ".c")])


def npm_packages(directory):
    """Install the servers that run on Node and Bun; return whether it succeeded."""
    if not (shutil.which("npm") and shutil.which("node")):
        return skipped("node and npm are not installed: seed, bun and socket.io")
    print("Installing Node's packages (once)", file=sys.stderr)
    shutil.copy(ANCHORS / "package.json", directory)
    command = ["npm", "install", "--no-fund", "--no-audit", "--loglevel", "error", "--prefix", directory]
    return not subprocess.call(command, stdout=sys.stderr) or skipped("npm failed: seed, bun and socket.io")


def pip_packages(directory):
    """Install the other Python servers in their own venv; return whether it succeeded."""
    print("Installing the other Python servers (once)", file=sys.stderr)
    python = directory / "venv/bin/python"
    packages = [python, "-m", "pip", "install", "-qq", "-r", ANCHORS / "requirements.txt"]
    failed = subprocess.call([sys.executable, "-m", "venv", directory / "venv"]) or subprocess.call(packages)
    return not failed or skipped("pip failed: websockets, flask-socketio and flask-sock")


def skipped(sentence):
    """Report the servers that will be skipped, and return False."""
    print(f"\n*** {sentence} will be skipped. ***\n", file=sys.stderr)
    return False
