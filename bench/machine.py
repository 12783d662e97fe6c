"""The machine of a result, and the versions of all servers."""

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
    """Return the facts about the machine that matter for the figures."""
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
    """Return {"ours", "node", "python": {package: version}} of what is installed."""
    return {
        "ours": {"flask-chat": revision(workspace.project), **ours()},
        "node": {"node": output_of("node", "--version"), **npm(workspace.installed)},
        "python": pip(workspace.installed),
    }


def ours():
    return {name: importlib.metadata.version(name) for name in OURS}


def revision(project):
    """Return the short commit, with a plus if chat/ has uncommitted changes."""
    commit = output_of("git", "-C", project, "rev-parse", "--short", "HEAD")
    return commit + ("+" if output_of("git", "-C", project, "status", "--porcelain", "chat") else "")


def npm(directory):
    found = {}
    for name in NPM:
        path = directory / "node_modules" / name / "package.json"
        if path.exists():
            found[name] = json.loads(path.read_text())["version"]
    return found


def pip(directory):
    listed = output_of(directory / "venv/bin/python", "-m", "pip", "list", "--format", "json")
    return {one["name"]: one["version"] for one in json.loads(listed or "[]") if one["name"] in PIP}


def output_of(*command):
    """Return the output of a command; empty if it cannot be run."""
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""
