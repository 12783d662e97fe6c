"""What a result was measured on: the machine, and the version of everything that took part."""

import importlib.metadata
import json
import os
import platform
import re
import subprocess

NPM = ("ws", "jsonwebtoken", "socket.io", "bun")
PIP = ("websockets", "Flask-SocketIO", "flask-sock", "simple-websocket", "gevent", "gunicorn", "Flask")
OURS = ("gevent", "gunicorn", "Flask", "flask-sock", "flask-jwt-extended", "orjson", "greenlet")


def describe():
    """The machine, as far as a reader of the figures needs to know it."""
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def cpu_model():
    with open("/proc/cpuinfo") as file:
        found = re.search(r"^model name\s*:\s*(.+)$", file.read(), re.MULTILINE)
    return found[1] if found else platform.machine()


def versions(workspace):
    """Of every server and the packages under it: {whose: {package: version}}; what is absent is left out."""
    return {
        "ours": {"flask-chat": revision(workspace.project), **ours()},
        "node": {"node": said("node", "--version"), **npm(workspace.installed)},
        "python": pip(workspace.installed),
    }


def ours():
    return {name: importlib.metadata.version(name) for name in OURS}


def revision(project):
    """The commit, with a plus where the tree is not as committed."""
    commit = said("git", "-C", project, "rev-parse", "--short", "HEAD")
    return commit + ("+" if said("git", "-C", project, "status", "--porcelain", "chat") else "")


def npm(directory):
    found = {}
    for name in NPM:
        path = directory / "node_modules" / name / "package.json"
        if path.exists():
            found[name] = json.loads(path.read_text())["version"]
    return found


def pip(directory):
    listed = said(directory / "venv/bin/python", "-m", "pip", "list", "--format", "json")
    return {one["name"]: one["version"] for one in json.loads(listed or "[]") if one["name"] in PIP}


def said(*command):
    """What the command printed; empty where it cannot be run."""
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""
