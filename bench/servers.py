"""The servers of a comparison: how each starts, and how its clients connect to it."""

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
#: The number of users, and of paths that the load is given.
USERS = 10_000
#: The path of Socket.IO clients that use WebSocket only.
SOCKET_IO = "/socket.io/?EIO=4&transport=websocket"
#: Seconds in which a server must answer its first request.
START_TIMEOUT = 30
#: Prefixes of environment variables that must not reach the server under test.
HIDDEN_VARIABLES = ("CHAT_", "SECRET_KEY", "JWT_", "HOST", "PORT", "WEB_CONCURRENCY", "FLASK_", "GUNICORN_")


class ServerFailed(Exception):
    """The server could not be started; the message holds the end of its log."""


class Server(NamedTuple):
    """One server: how it starts and how its clients connect to it."""

    title: str
    command: list
    paths: str  # which kind of path file: token, name, socketio, ours, ours-io, ours-pages
    needs: Path  # the program that must be installed
    env: dict

    @property
    def socketio(self):
        return self.paths in ("socketio", "ours-io")

    @property
    def is_ours(self):
        return self.paths.startswith("ours")


def servers(workspace, port):
    """Return all servers by name, as they would start on `port`."""
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
    """Return the project's settings: its defaults, a scratch database, and limits that do not restrict the load."""
    return {
        "CHAT_DATABASE_URL": f"sqlite:///{scratch}/chat.db",
        "SECRET_KEY": SECRET,
        "JWT_SECRET_KEY": SECRET,
        "WEB_CONCURRENCY": "1",
        "CHAT_MAX_CONNECTIONS": "20000",
        "CHAT_MAX_CONNECTIONS_PER_USER": "20000",
        "CHAT_MAX_CONNECTIONS_PER_IP": "20000",
        "CHAT_RATE_LIMIT": "0",
        "CHAT_STORE_QUOTA": str(10**15),  # what a user stores is counted, as by default
        "CHAT_TRUSTED_PROXIES": "1",  # the visitors of `busy` say where they come from
        "CHAT_API_RATE": "0",
        "CHAT_API_RATE_PER_IP": "0",
        "CHAT_ALLOWED_ORIGINS": "*",
    }


def environment(extra):
    """Return this process's environment without settings of the chat, and with `extra`."""
    return {**{k: v for k, v in os.environ.items() if not k.startswith(HIDDEN_VARIABLES)}, **extra}


# ---- starting one ----------------------------------------------------------------------------------------------


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def pinned(cpu, command):
    """Return the command pinned to the `cpu`-th CPU that this process may use, or the last one; None pins nothing."""
    words = [str(word) for word in command]
    if cpu is None:
        return words
    cpus = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cpus[min(cpu, len(cpus) - 1)]), *words]


@contextmanager
def serving(workspace, server, port, cpu):
    """Start a server; yield its process once it answers, and stop it afterwards."""
    path = workspace.scratch / "server.log"
    cwd = workspace.project if server.is_ours else ANCHORS  # gunicorn reads gunicorn.conf.py from there
    with open(path, "wb") as log:
        process = subprocess.Popen(
            pinned(cpu, server.command), cwd=cwd, env=environment(server.env), stdout=log, stderr=log
        )
    try:
        wait_until_it_answers(process, port, path)
        yield process
    finally:
        stop(process)


def wait_until_it_answers(process, port, log):
    """Wait for an HTTP response: gunicorn's master accepts connections before its worker has imported the app."""
    end = time.monotonic() + START_TIMEOUT
    while time.monotonic() < end and process.poll() is None:
        if answers(port):
            time.sleep(0.5)
            return
        time.sleep(0.1)
    raise ServerFailed(log.read_text(errors="replace").strip()[-600:] or "the server does not answer")


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


# ---- its clients -----------------------------------------------------------------------------------------------


def paths_for(workspace, server):
    """Return a file with one request path per user and line; the first call writes it.

    A tab may follow the path, and then the auth data of a Socket.IO client.
    """
    path = workspace.scratch / f"paths-{server.paths}"
    if not path.exists():
        path.write_text("\n".join(list_paths(workspace, server)))
    return path


def list_paths(workspace, server):
    names = [f"user{i:05d}" for i in range(USERS)]
    if server.paths == "token":
        return [f"/ws/chat?token={seed_token(name)}" for name in names]
    if server.paths == "name":
        return [f"/ws/chat?u={name}" for name in names]
    if server.paths == "socketio":
        return [f"{SOCKET_IO}&u={name}" for name in names]
    tokens = ours_tokens(workspace, tuple(names))
    if server.paths == "ours-io":
        return [f'{SOCKET_IO}\t{{"token":"{token}"}}' for token in tokens]
    # Half of the clients ask for roster changes as pages do; the others use the original protocol only.
    options = ("", "&roster=diff") if server.paths == "ours-pages" else ("",)
    return [f"/ws/chat?token={token}{options[i % len(options)]}" for i, token in enumerate(tokens)]


def seed_token(name):
    """Return a token as the seed's own login would sign it."""
    head = b64(b'{"alg":"HS256","typ":"JWT"}')
    body = b64(json.dumps({"username": name, "exp": 4_000_000_000}).encode())
    signature = hmac.new(SECRET.encode(), f"{head}.{body}".encode(), hashlib.sha256).digest()
    return f"{head}.{body}.{b64(signature)}"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@functools.cache
def ours_tokens(workspace, names):
    """Return tokens for a day from `flask chat token`, which also creates the users."""
    return flask_chat(workspace, "token", "--create", "--ttl", "86400", "-", stdin="\n".join(names)).split()


def flask_chat(workspace, *words, stdin):
    """Run the project's `flask chat …` and return its output."""
    command = [workspace.project / ".venv/bin/flask", "--app", "wsgi", "chat", *words]
    result = subprocess.run(
        command,
        input=stdin,
        text=True,
        cwd=workspace.project,
        env=environment(ours_env(workspace.scratch)),
        capture_output=True,
    )
    if result.returncode:
        raise ServerFailed(f"flask chat {words[0]}: {result.stderr.strip()[-600:]}")
    return result.stdout
