"""The environments of `make test-hosts`: a venv each, in .hosts/, that holds the wheel and one set of versions."""

from __future__ import annotations

import email
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".hosts"
UV = Path(sys.executable).with_name("uv")
#: The Pythons that the package names in its classifiers.
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
#: gunicorn 20.1 imports pkg_resources, which newer versions of setuptools no longer contain.
FOR_OLD_GUNICORN = "setuptools==79.0.1"
LOWEST, NEWEST = "lowest-direct", "highest"


class Environment(NamedTuple):
    """One venv: its name, its Python, which end of the ranges, and what is pinned beside."""

    name: str
    python: Path
    resolution: str = NEWEST
    pins: tuple[str, ...] = ()

    @property
    def bin(self) -> Path:
        """The folder of its programs."""
        return FOLDER / self.name / "bin"

    def install(self, wheel: Path) -> None:
        """Create the venv and install the wheel with all its extras."""
        if not self.bin.exists():
            uv("venv", "--python", self.python, self.bin.parent)
        # As direct requirements: uv resolves only these to the lowest versions.
        wanted = (
            *requirements(wheel),
            *self.pins,
            *((FOR_OLD_GUNICORN,) if self.resolution == LOWEST else ()),
        )
        self.pip("--resolution", self.resolution, "--reinstall-package", "flask-chat", wheel, *wanted)

    def pip(self, *words: object) -> None:
        """Run `uv pip install` in the venv."""
        uv("pip", "install", "--python", self.bin / "python", *words)

    def versions(self) -> str:
        """The versions of what matters, as one line."""
        listed = uv("pip", "list", "--python", self.bin / "python")
        found = dict(line.split()[:2] for line in listed.splitlines()[2:])
        names = ("flask", "werkzeug", "sqlalchemy", "gevent", "gunicorn", "flask-jwt-extended")
        return ", ".join(f"{name} {found[name]}" for name in (*names, "alembic", "redis"))


def uv(*words: object) -> str:
    """Run uv; return its output, or raise RuntimeError with what it said."""
    done = subprocess.run([UV, "--quiet", *map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"uv {' '.join(map(str, words))}: {done.stderr}")
    return done.stdout


def requirements(wheel: Path) -> list[str]:
    """What the wheel and its extras require, without markers."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = email.message_from_bytes(archive.read(name)).get_all("Requires-Dist") or []
    return sorted({line.partition(";")[0].strip() for line in lines if not line.startswith("flask-chat")})


def find_pythons() -> dict[str, Path]:
    """The interpreters of PYTHONS that this machine has: on the PATH, of pyenv, or of uv."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    uvs = Path(os.environ.get("UV_PYTHON_INSTALL_DIR", Path.home() / ".local/share/uv/python"))
    found: dict[str, Path] = {}
    for version in PYTHONS:
        candidates = [Path(folder, f"python{version}") for folder in os.get_exec_path()]
        candidates += sorted(
            [*root.glob(f"{version}.*/bin/python"), *uvs.glob(f"cpython-{version}.*/bin/python3")]
        )
        working = next((path for path in candidates if path.exists() and runs(path, version)), None)
        if working is not None:
            found[version] = working
    return found


def runs(path: Path, version: str) -> bool:
    """Return whether the program is that Python: pyenv's shims exist for versions that are not chosen, too."""
    code = "import sys, venv, ensurepip; print(sys.version)"
    done = subprocess.run([path, "-c", code], capture_output=True, text=True, check=False)
    return done.returncode == 0 and re.match(rf"{version}\.", done.stdout) is not None


def environments(pythons: dict[str, Path]) -> list[Environment]:
    """Both ends of all ranges, the newest on each Python, and mixtures of old and new that sites have."""
    oldest, newest = next(iter(pythons.values())), next(reversed(pythons.values()))
    return [
        Environment("lowest", oldest, LOWEST),
        *(Environment(f"newest-{version}", path) for version, path in pythons.items()),
        Environment("flask-2.2", newest, pins=("flask==2.2.5", "werkzeug==2.2.3")),
        Environment("flask-2.3", newest, pins=("flask==2.3.3", "werkzeug==2.3.8")),
        Environment("flask-3.0", oldest, pins=("flask==3.0.3", "werkzeug==3.0.6", "sqlalchemy<2.1")),
    ]
