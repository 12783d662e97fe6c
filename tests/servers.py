"""Every kind of server that a Flask site runs on, each as its own process on its own port.

`Server(kind)` is a context manager: within it the server answers /healthz, after it the process has ended. Signals go
to its own pid alone. Its output is kept in a file, which is shown when a test fails.
"""

import contextlib
import ctypes
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests import tokens, wsclient
from tests.databases import create_user, migrated_sqlite
from tests.tokens import SECRET

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
#: Seconds that a start may take on a busy machine.
START = 60.0
#: Variables of the environment that must not reach a server under test; the last one would slow each start.
OWN_KEYS = (
    *("CHAT_", "SECRET_KEY", "JWT_", "HOST", "PORT", "WEB_CONCURRENCY", "FLASK_", "GUNICORN_"),
    "PYTHONDONTWRITEBYTECODE",
)

GEVENT_WEBSOCKET = "geventwebsocket.gunicorn.workers.GeventWebSocketWorker"
PR_SET_PDEATHSIG = 1

#: The servers that are running.
running: list["Server"] = []
#: Each server that ran since `begin_test`, with the length of its log then: for the report of a failure.
recent: dict["Server", int] = {}


def begin_test():
    recent.clear()
    recent.update({one: len(one.log()) for one in running})


def recent_logs():
    """(title, log since `begin_test`) of each server that wrote anything."""
    logs = ((f"log of {one.kind} (pid {one.pid})", one.log()[mark:]) for one, mark in recent.items())
    return [(title, log) for title, log in logs if log]


def gunicorn(port, app, *options):
    return [BIN / "gunicorn", "-b", f"127.0.0.1:{port}", *options, app]


def pywsgi(port, app, *options):
    return [sys.executable, "-m", "tests.serve_pywsgi", "--port", port, *options, app]


def flask_run(port, app):
    return [BIN / "flask", "--app", app, "run", "--port", port]


#: kind: (its command for a port and an app, the app when none is asked for, whether SIGTERM reaches a hook of the chat)
KINDS = {
    "gunicorn-gevent": (lambda port, app: gunicorn(port, app, "-k", "gevent"), "wsgi:app", True),
    "gunicorn-geventwebsocket": (
        lambda port, app: gunicorn(port, app, "-k", GEVENT_WEBSOCKET),
        "wsgi:app",
        True,
    ),
    "gunicorn-gthread": (lambda port, app: gunicorn(port, app, "-k", "gthread"), "app:create_app()", True),
    "pywsgi": (pywsgi, "wsgi:app", True),
    "pywsgi-websocket": (lambda port, app: pywsgi(port, app, "--websocket-handler"), "wsgi:app", True),
    "flask-run": (flask_run, "app:create_app", False),
}


def free_port():
    """A free port, below those that the system gives to clients: it stays free until it is used."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_768)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def die_with_parent():
    """Called in the child: it ends when the test run ends, however that ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def clean_environment(**extra):
    """This process's environment without settings of the chat, plus `extra`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(OWN_KEYS)}
    return {**kept, **extra}


class ServerFailed(Exception):
    """The server ended, or did not become ready; the message holds its log."""


class Server:
    """One server process: `url`, `port`, `pid`, its log, and requests to it.

    Unless `env` has a CHAT_DATABASE_URL, its database is a SQLite file of its own, which has the chat's tables already.
    """

    #: The folder in which the process starts, that of the programs, and the app of `flask chat`.
    cwd, bin, cli_app = ROOT, BIN, "app"

    def __init__(self, kind, env=None, app=None, options=()):
        command, default_app, self.drains = KINDS[kind]
        self.kind, self.port = kind, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.home = Path(tempfile.mkdtemp(prefix=f"chat-{kind}-"))
        self.command = [str(part) for part in (*command(self.port, app or default_app), *options)]
        given = {"SECRET_KEY": SECRET, "PYTHONUNBUFFERED": "1", "CHAT_ROOT_HEALTH": "1", **(env or {})}
        if "CHAT_DATABASE_URL" not in given:
            given["CHAT_DATABASE_URL"] = migrated_sqlite(self.home / "chat.db")
        self.env = clean_environment(**{key: str(value) for key, value in given.items()})
        self._log_path, self._last_log = self.home / "server.log", ""
        self._tokens = {}
        self.process = None
        #: An ssl.SSLContext, for a server that was started with a certificate.
        self.tls = None

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_):
        self.stop()

    # -- start and end

    def launch(self):
        """Start the process without waiting: for a start that is meant to be refused."""
        with self._log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.cwd,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        running.append(self)
        recent.setdefault(self, 0)
        return self

    def start(self):
        self.launch()
        self.wait_ready()
        return self

    def wait_ready(self, timeout=START):
        """Until GET /healthz answers 200; ServerFailed when the process ends first."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise ServerFailed(f"{self.kind} ended with {self.process.returncode}:\n{self.log()}")
            if self._healthy():
                return
            time.sleep(0.02)  # there is no event to wait for
        raise ServerFailed(f"{self.kind} was not ready after {timeout} s:\n{self.log()}")

    def _healthy(self):
        try:
            return self.get("/healthz", timeout=5)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    @property
    def pid(self):
        return self.process.pid

    def signal(self, number):
        self.process.send_signal(number)

    def interrupt(self):
        """Do what Ctrl-C in a terminal does: SIGINT to every process of the group."""
        os.killpg(self.pid, signal.SIGINT)

    def wait_exit(self, timeout=10.0):
        """The exit code, negative for a signal."""
        return self.process.wait(timeout)

    def restart(self):
        """End the process and start another on the same port and database."""
        self.end()
        return self.start()

    def end(self):
        """SIGTERM and wait; a process that does not end is killed, and the test fails."""
        if self not in running:
            return
        running.remove(self)
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise ServerFailed(f"{self.kind} had to be killed:\n{self.log()}") from None

    def stop(self):
        try:
            self.end()
        finally:
            self._last_log = self.log()
            shutil.rmtree(self.home, ignore_errors=True)

    def log(self):
        if not self._log_path.exists():
            return self._last_log
        return self._log_path.read_text(errors="replace")

    def wait_log(self, text, timeout=10.0):
        """The log, once it contains `text`: a server may answer before it writes."""
        deadline = time.monotonic() + timeout
        while text not in (log := self.log()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{text!r} is not in the log:\n{log}")
            time.sleep(0.02)  # there is no event to wait for
        return log

    # -- requests

    def request(self, method, path, body=None, headers=None, timeout=15.0):
        """(status, headers, body as str) of one plain HTTP request."""
        connection = self._connection(timeout)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def _connection(self, timeout):
        if self.tls:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=self.tls)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def get(self, path, headers=None, timeout=15.0):
        return self.request("GET", path, headers=headers, timeout=timeout)

    def post_json(self, path, value, headers=None):
        """(status, JSON of the answer) of one POST."""
        both = {"Content-Type": "application/json", **(headers or {})}
        status, _, body = self.request("POST", path, json.dumps(value), both)
        return status, json.loads(body)

    def cli(self, *words, stdin=""):
        """The output of `flask chat …`, run in a process of its own with the server's settings."""
        command = [self.bin / "flask", "--app", self.cli_app, "chat", *words]
        done = subprocess.run(
            [str(part) for part in command],
            cwd=self.cwd,
            env=self.env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode:
            raise ServerFailed(f"{' '.join(map(str, words))} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def token(self, name):
        """A token of a user, who is created if new."""
        if name not in self._tokens:
            id = create_user(self.env["CHAT_DATABASE_URL"], name)
            self._tokens[name] = tokens.token(name, sub=id, key=self.env["SECRET_KEY"])
        return self._tokens[name]

    def socket(self, name=None, *, token=None, query="", headers=None, **options):
        """A WebSocket client on /ws/chat: of the user `name`, or with any `token`."""
        path = f"/ws/chat?token={token if token is not None else self.token(name)}{query}"
        return wsclient.connect("127.0.0.1", self.port, path, headers, tls=self.tls, **options)
