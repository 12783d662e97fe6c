"""The servers of a comparison: how each starts, and how its clients address it."""

import base64
import functools
import hashlib
import hmac
import json
import os
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.install import ANCHORS

SECRET = "bench-secret-bench-secret-bench-secret"
#: Users who exist, and whose paths the load is given.
NAMES = 10_000
#: Where Socket.IO clients go that want no other transport.
SOCKET_IO = "/socket.io/?EIO=4&transport=websocket"
#: Seconds that a server may take until its first answer.
START = 30
#: Settings of this machine that must not reach the server under test.
OWN_KEYS = ("CHAT_", "SECRET_KEY", "JWT_", "HOST", "PORT", "WEB_CONCURRENCY", "FLASK_", "GUNICORN_")


class ServerFailed(Exception):
    """The server could not be started; the message holds the end of its log."""


class Server(NamedTuple):
    """One server: how it starts and how its clients address it."""

    title: str
    command: list
    paths: str  # which kind of path file: token, name, socketio, ours, ours-io, ours-pages
    needs: Path  # the program without which it cannot run
    env: dict

    @property
    def socketio(self):
        return self.paths in ("socketio", "ours-io")

    @property
    def is_ours(self):
        return self.paths.startswith("ours")


def servers(workspace, port):
    """Every server that the bench knows, by name, as it would start on `port`."""
    return {
        **project_servers(workspace, port),
        **node_servers(workspace, port),
        **python_servers(workspace, port),
    }


def project_servers(workspace, port):
    gunicorn = workspace.project / ".venv/bin/gunicorn"
    command = [gunicorn, "-b", f"127.0.0.1:{port}", "wsgi:app"]
    soak = [*command[:-1], "bench.soak_site:app"]
    ephemeral = {**ours_env(workspace.scratch), "CHAT_EPHEMERAL_ROOMS": "lobby,dm:*"}
    return {
        "ours": Server("Flask-Chat", command, "ours", gunicorn, ephemeral),
        "ours-io": Server("Flask-Chat, Socket.IO", command, "ours-io", gunicorn, ephemeral),
        "ours-stored": Server(
            "Flask-Chat, stored",
            command,
            "ours",
            gunicorn,
            {**ours_env(workspace.scratch), "CHAT_METRICS": "1"},
        ),
        "ours-pages": Server("Flask-Chat", command, "ours-pages", gunicorn, ours_env(workspace.scratch)),
        "ours-soak": Server("Flask-Chat", soak, "ours-pages", gunicorn, ours_env(workspace.scratch)),
    }


def node_servers(workspace, port):
    modules = workspace.installed / "node_modules"
    env = {"NODE_PATH": str(modules), "SECRET": SECRET}
    seed, bun = ["node", ANCHORS / "seed_ws.js", port], modules / ".bin/bun"
    sio = ["node", ANCHORS / "socketio_node.js", port]
    quiet = {**env, "NO_ROSTER": "1"}
    return {
        "seed": Server("ws on Node (the original)", seed, "token", modules / "ws", quiet),
        "seed+roster": Server("ws on Node, with its roster", seed, "token", modules / "ws", env),
        "bun": Server("uWebSockets on Bun", [bun, ANCHORS / "bun_pub.js", port], "name", bun, {}),
        "socket.io": Server("Socket.IO on Node", sio, "socketio", modules / "socket.io", env),
    }


def python_servers(workspace, port):
    python, gunicorn = workspace.installed / "venv/bin/python", workspace.installed / "venv/bin/gunicorn"
    options = ["-w", "1", "--worker-connections", "20000", "--backlog", "4096", "--no-control-socket"]
    base = [gunicorn, *options, "-b", f"127.0.0.1:{port}", "-k"]
    flask_sock = [*base, "gevent", "naive_flask_sock:app"]
    flask_sio = [*base, "geventwebsocket.gunicorn.workers.GeventWebSocketWorker", "flask_socketio_app:app"]
    websockets = [python, ANCHORS / "websockets_broadcast.py", port]
    return {
        "websockets": Server("websockets on asyncio", websockets, "name", python, {}),
        "flask-socketio": Server("Flask-SocketIO", flask_sio, "socketio", gunicorn, {}),
        "flask-sock": Server("flask-sock, a loop", flask_sock, "name", gunicorn, {}),
    }


def ours_env(scratch):
    """What the project is started with: its defaults, a scratch database, limits that do not cap the load."""
    return {
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


def environment(extra):
    """This process's environment without any setting of the chat, and with `extra`."""
    return {**{k: v for k, v in os.environ.items() if not k.startswith(OWN_KEYS)}, **extra}


# ---- starting one ----------------------------------------------------------------------------------------------


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def pinned(place, command):
    """The command, held to one CPU: the first or second that we may use, or the last; None leaves it free."""
    words = [str(word) for word in command]
    if place is None:
        return words
    cpus = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cpus[min(place, len(cpus) - 1)]), *words]


@contextmanager
def serving(workspace, server, port, place):
    """The server's process, once it answers; ended on the way out."""
    path = workspace.scratch / "server.log"
    cwd = workspace.project if server.is_ours else ANCHORS  # where each finds its gunicorn.conf.py, or none
    with open(path, "wb") as log:
        process = subprocess.Popen(
            pinned(place, server.command), cwd=cwd, env=environment(server.env), stdout=log, stderr=log
        )
    try:
        wait_until_it_answers(process, port, path)
        yield process
    finally:
        stop(process)


def wait_until_it_answers(process, port, log):
    """A master accepts connections before its worker has imported the app: only an answer says that it is up."""
    end = time.monotonic() + START
    while time.monotonic() < end and process.poll() is None:
        if answers(port):
            time.sleep(0.5)
            return
        time.sleep(0.1)
    raise ServerFailed(log.read_text(errors="replace").strip()[-600:] or "it does not answer")


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as probe:
            probe.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            return bool(probe.recv(1))
    except OSError:
        return False


def stop(process):
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# ---- addressing it ---------------------------------------------------------------------------------------------


def paths_for(workspace, server):
    """A file with one request path a line, a user each; made at the first call.

    After a tab may follow what a Socket.IO client introduces itself with.
    """
    path = workspace.scratch / f"paths-{server.paths}"
    if not path.exists():
        path.write_text("\n".join(list_paths(workspace, server)))
    return path


def list_paths(workspace, server):
    names = [f"user{i:05d}" for i in range(NAMES)]
    if server.paths == "token":
        return [f"/ws/chat?token={seed_token(name)}" for name in names]
    if server.paths == "name":
        return [f"/ws/chat?u={name}" for name in names]
    if server.paths == "socketio":
        return [f"{SOCKET_IO}&u={name}" for name in names]
    tokens = ours_tokens(workspace, tuple(names))
    if server.paths == "ours-io":
        return [f'{SOCKET_IO}\t{{"token":"{token}"}}' for token in tokens]
    # A page asks for changes of the roster; the other half are clients that know the original protocol only.
    traits = ("", "&roster=diff") if server.paths == "ours-pages" else ("",)
    return [f"/ws/chat?token={token}{traits[i % len(traits)]}" for i, token in enumerate(tokens)]


def seed_token(name):
    """A token as the seed's own login would sign it."""
    head = b64(b'{"alg":"HS256","typ":"JWT"}')
    body = b64(json.dumps({"username": name, "exp": 4_000_000_000}).encode())
    signature = hmac.new(SECRET.encode(), f"{head}.{body}".encode(), hashlib.sha256).digest()
    return f"{head}.{body}.{b64(signature)}"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@functools.cache
def ours_tokens(workspace, names):
    """A day's tokens, from the project's own command line, which also makes the users."""
    return flask_chat(workspace, "token", "--create", "--ttl", "86400", "-", said="\n".join(names)).split()


def flask_chat(workspace, *words, said):
    """What `flask chat …` of the project printed."""
    command = [workspace.project / ".venv/bin/flask", "--app", "wsgi", "chat", *words]
    result = subprocess.run(
        command,
        input=said,
        text=True,
        cwd=workspace.project,
        env=environment(ours_env(workspace.scratch)),
        capture_output=True,
    )
    if result.returncode:
        raise ServerFailed(f"flask chat {words[0]}: {result.stderr.strip()[-600:]}")
    return result.stdout
