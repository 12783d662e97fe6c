"""The servers of a comparison: how each is installed, started and addressed."""

import base64
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
ANCHORS = HERE / "anchors"
SECRET = "bench-secret-bench-secret-bench-secret"
NAMES = 10_000
NPM_PACKAGES = ("ws", "jsonwebtoken", "socket.io", "bun")
PIP_PACKAGES = (
    "flask",
    "flask-sock",
    "flask-socketio",
    "gevent-websocket",
    "gunicorn[gevent]",
    "websockets",
    "orjson",
)


class Contestant(NamedTuple):
    """One server: how it starts and how its clients address it."""

    command: list
    env: dict
    paths: str  # which kind of path file: token, u, sio, ours, ours-sio
    mode: str  # ws or sio
    needs: Path | str  # the program without which it cannot run


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def seed_token(name):
    """A token as the seed's own login would sign it."""
    head = b64(b'{"alg":"HS256","typ":"JWT"}')
    body = b64(json.dumps({"username": name, "exp": 4_000_000_000}).encode())
    return (
        f"{head}.{body}.{b64(hmac.new(SECRET.encode(), f'{head}.{body}'.encode(), hashlib.sha256).digest())}"
    )


def setup(directory):
    """Build the load generator, and install whichever anchors this machine can run."""
    if not shutil.which("cc"):
        sys.exit(
            "The load generator is written in C and no `cc` is here (Debian: apt-get install gcc libc6-dev)."
        )
    directory.mkdir(parents=True, exist_ok=True)
    run = subprocess.check_call
    run(["cc", "-O2", "-o", directory / "swarm", HERE / "swarm.c", "-lm"])
    if shutil.which("npm"):
        run(["npm", "install", "--no-fund", "--no-audit", "--prefix", directory, *NPM_PACKAGES])
    else:
        print("npm is not here: the servers that run on Node or Bun will be skipped.", file=sys.stderr)
    run([sys.executable, "-m", "venv", directory / "venv"])
    run([directory / "venv/bin/pip", "install", "--quiet", *PIP_PACKAGES])


def node_servers(directory, port):
    env = {"NODE_PATH": str(directory / "node_modules"), "SECRET": SECRET}
    seed = ["node", ANCHORS / "seed_ws.js", port]
    ws, bun = directory / "node_modules/ws", directory / "node_modules/.bin/bun"
    return {
        "seed": Contestant(seed, {**env, "NO_ROSTER": "1"}, "token", "ws", ws),
        "seed+roster": Contestant(seed, env, "token", "ws", ws),
        "bun": Contestant([bun, ANCHORS / "bun_pub.js", port], {}, "u", "ws", bun),
        "socket.io": Contestant(
            ["node", ANCHORS / "socketio_node.js", port],
            env,
            "sio",
            "sio",
            directory / "node_modules/socket.io",
        ),
    }


def python_servers(directory, port):
    python, gunicorn = directory / "venv/bin/python", directory / "venv/bin/gunicorn"
    options = ["-w", "1", "--worker-connections", "20000", "--backlog", "4096", "--no-control-socket"]
    base = [gunicorn, *options, "-b", f"127.0.0.1:{port}", "--chdir", ANCHORS]
    gws = "geventwebsocket.gunicorn.workers.GeventWebSocketWorker"
    return {
        "flask-sock": Contestant([*base, "-k", "gevent", "naive_flask_sock:app"], {}, "u", "ws", gunicorn),
        "flask-socketio": Contestant(
            [*base, "-k", gws, "flask_socketio_app:app"], {}, "sio", "sio", gunicorn
        ),
        "websockets": Contestant([python, ANCHORS / "websockets_broadcast.py", port], {}, "u", "ws", python),
    }


def project_servers(project, port):
    gunicorn = project / ".venv/bin/gunicorn"
    command = [gunicorn, "-b", f"127.0.0.1:{port}", "wsgi:app"]
    return {
        "ours": Contestant(command, {"EPHEMERAL": "1"}, "ours", "ws", gunicorn),
        "ours-durable": Contestant(command, {}, "ours", "ws", gunicorn),
        "ours-sio": Contestant(command, {"EPHEMERAL": "1"}, "ours-sio", "sio", gunicorn),
    }


def contestants(directory, project, port):
    everyone = {**node_servers(directory, port), **python_servers(directory, port)}
    return {**everyone, **project_servers(project, port)} if project else everyone


def ours_env(scratch, ephemeral):
    """What the project is started with: its defaults, a scratch database, limits that do not cap the load."""
    env = {
        "CHAT_DATABASE_URL": f"sqlite:///{scratch}/chat.db",
        "SECRET_KEY": SECRET,
        "JWT_SECRET_KEY": SECRET,
        "WEB_CONCURRENCY": "1",
        "CHAT_MAX_CONNECTIONS": "20000",
        "CHAT_MAX_CONNECTIONS_PER_USER": "20000",
        "CHAT_MAX_CONNECTIONS_PER_IP": "20000",
        "CHAT_RATE_LIMIT": "0",
        "CHAT_ALLOWED_ORIGINS": "*",
    }
    return {**env, "CHAT_EPHEMERAL_ROOMS": "lobby"} if ephemeral else env


def user_names():
    return [f"user{i:05d}" for i in range(NAMES)]


def ours_tokens(project, env):
    command = [project / ".venv/bin/flask", "--app", "wsgi", "chat", "token", "--create", "-"]
    result = subprocess.run(
        command,
        input="\n".join(user_names()),
        text=True,
        cwd=project,
        env={**os.environ, **env},
        capture_output=True,
    )
    if result.returncode:
        sys.exit(f"flask chat token failed: {result.stderr[-800:]}")
    return result.stdout.split()


def write_paths(path, kind, project, env):
    """One request path a line, a user each; swarm.c takes them in turn."""
    if kind == "sio":
        lines = ["/socket.io/?EIO=4&transport=websocket"]
    elif kind == "token":
        lines = [f"/ws/chat?token={seed_token(name)}" for name in user_names()]
    elif kind == "u":
        lines = [f"/ws/chat?u={name}" for name in user_names()]
    else:
        form = "/ws/chat?token={}" if kind == "ours" else "/socket.io/?EIO=4&transport=websocket&token={}"
        lines = [form.format(token) for token in ours_tokens(project, env)]
    path.write_text("\n".join(lines))
