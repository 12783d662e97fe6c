"""Source distributions, venvs and the chat's wheel, as a site's owner would install them; kept in .hosts/."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
HOSTS = ROOT / ".hosts"
UV = Path(sys.executable).parent / "uv"
#: What the chat's extras add to every site: the server that the tests start.
EXTRAS = "gunicorn"


def run(*command, cwd=None, env=None):
    """Run a command and return its output; raise RuntimeError with all that it printed if it fails."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True, timeout=600
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


@contextmanager
def locked():
    """Let one process at a time write to .hosts/."""
    HOSTS.mkdir(exist_ok=True)
    with (HOSTS / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def unpacked(requirement, sha256):
    """Return the folder of an unpacked source distribution, `name==version`; download it the first time."""
    folder = HOSTS / "sdists" / requirement
    with locked():
        if not folder.exists():
            _fetch(requirement, sha256, folder)
    return folder


def _fetch(requirement, sha256, folder):
    folder.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=HOSTS) as place:
        name = requirement.partition("==")[0]
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", name]
        run(*pip, "--dest", place, requirement)
        (archive,) = Path(place).iterdir()
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != sha256:
            raise RuntimeError(f"The source distribution of {requirement} has the SHA-256 {found}, not {sha256}.")
        with tarfile.open(archive) as tar:
            tar.extractall(Path(place) / "out", filter="data")
        (top,) = (Path(place) / "out").iterdir()
        top.rename(folder)


class Venv:
    """A venv with what a site requires and, beside it, the chat's wheel."""

    def __init__(self, name, requirements):
        digest = hashlib.sha256("\n".join(requirements).encode()).hexdigest()[:12]
        self.folder = HOSTS / "venvs" / f"{name}-{digest}"
        self.bin = self.folder / "bin"
        self.python = self.bin / "python"
        with locked():
            if not (self.folder / "complete").exists():
                self._create(requirements)

    def _create(self, requirements):
        shutil.rmtree(self.folder, ignore_errors=True)
        run(UV, "venv", "--quiet", "--python", sys.executable, self.folder)
        self._install(*requirements)
        (self.folder / "complete").touch()

    def _install(self, *words):
        run(UV, "pip", "install", "--quiet", "--python", self.python, *words)

    def versions(self):
        """The installed packages, `name==version`, without the chat."""
        listed = run(UV, "pip", "freeze", "--python", self.python).splitlines()
        return {line for line in listed if not line.startswith("flask-chat")}

    def add_chat(self):
        """Install the chat's wheel, as `pip install "flask-chat[gunicorn]"` does."""
        with locked():
            self._install("--reinstall-package", "flask-chat", f"flask-chat[{EXTRAS}] @ {wheel().as_uri()}")

    def remove_chat(self):
        with locked():
            run(UV, "pip", "uninstall", "--quiet", "--python", self.python, "flask-chat")


@cache
def wheel():
    """The chat's wheel: that of the variable CHAT_WHEEL, else one built from this tree."""
    given = os.environ.get("CHAT_WHEEL")
    if given:
        return Path(given).resolve()
    target = HOSTS / "dist"
    shutil.rmtree(target, ignore_errors=True)
    run(UV, "build", "--quiet", "--wheel", "--out-dir", target, ROOT)
    (built,) = target.glob("*.whl")
    return built
