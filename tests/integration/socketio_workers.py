"""Several gunicorn workers on one port, and connections to a chosen one of them."""

import json
import os
import signal
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.integration.socketio_server import SocketIOServer
from tests.integration.socketio_wire import CALM, TIMEOUT, Endpoint, PollingSession, Request
from tests.leftovers import children, has_ended
from tests.servers import running
from tests.waiting import until
from tests.wsclient import WSClient

CONF = Path(__file__).with_name("several.conf.py")
#: Under gthread each poll that waits holds a thread.
KINDS = {"gunicorn-gevent": (), "gunicorn-gthread": ("--threads", "80")}


class Workers(SocketIOServer):
    """A site with only its own events, on three workers with their own folder for temporary files."""

    COUNT = 3

    def __init__(self, kind="gunicorn-gevent", env=None):
        # gunicorn would kill workers that the tests stop for longer than its timeout, which is 30 s.
        times = ("--keep-alive", "60", "--timeout", "600")
        options = ("--workers", self.COUNT, *times, "--config", CONF, *KINDS[kind])
        super().__init__(kind, {"CHAT_IO_CHAT_NAMESPACE": "", **CALM, **(env or {})}, options)
        self.env["TMPDIR"] = str(self.home)

    def workers(self):
        """The pids of its workers, once all have started."""
        deadline = time.monotonic() + TIMEOUT
        while len(pids := list(filter(is_alive, children(self.pid)))) != self.COUNT:
            assert time.monotonic() < deadline, pids
            time.sleep(0.02)  # gunicorn's master does not announce it
        return pids

    def wait_serving(self):
        """Wait until each worker has answered: one that is still starting may miss a signal."""
        for worker in self.workers():
            with self.only(worker):
                self.get("/healthz")

    def end(self):
        if self in running and self.process.poll() is None:
            self.wait_serving()
        super().end()

    @contextmanager
    def only(self, worker):
        """Stop all other workers meanwhile, so that they accept no connection."""
        others = [pid for pid in self.workers() if pid != worker]
        for pid in others:
            os.kill(pid, signal.SIGSTOP)
        until(lambda: all(state(pid) in "TZ" for pid in others))
        try:
            yield
        finally:
            for pid in others:
                os.kill(pid, signal.SIGCONT)

    def directories(self):
        """{directory of the workers: names of its files}"""
        return {folder: sorted(os.listdir(folder)) for folder in self.home.glob("flask-chat-*")}


def is_alive(pid):
    """Whether the process runs: it is no zombie either."""
    return state(pid) != "Z"


def state(pid):
    """The letter of a process's state: R, S, T (stopped), …; Z once it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


class WorkerEndpoint(Endpoint):
    """The endpoint at one worker: connections are made while all others are stopped."""

    def __init__(self, server, worker):
        super().__init__(server, "/socket.io/")
        self.worker = worker

    def begin(self, method="GET", body=None, headers=None, **query):
        connection = self._connect_to_worker()
        body = body.encode() if isinstance(body, str) else body
        connection.request(method, self.address(**query), body, headers or {})
        return Request(connection)

    def websocket(self, *, headers=None, early=b"", **query):
        client = WSClient(self._connect_to_worker().sock, TIMEOUT, True)
        path = self.address(**{"transport": "websocket", **query})
        client.handshake(f"127.0.0.1:{self.server.port}", path, headers or {}, early)
        return client

    def _connect_to_worker(self):
        """Return a connection that the worker has accepted: it has answered a request."""
        connection = self._connect()
        with self.server.only(self.worker):
            connection.request("GET", "/healthz")
            connection.getresponse().read()
        connection.auto_open = 0  # a new connection might reach another worker
        return connection

    def end(self, number):
        """Send the worker a signal, and wait until it has ended."""
        with suppress(ProcessLookupError):
            handle = os.pidfd_open(self.worker)
            self._opened.callback(os.close, handle)
            signal.pidfd_send_signal(handle, number)
            assert has_ended(handle, time.monotonic() + TIMEOUT)


class NewsSession(PollingSession):
    """A polling session that is connected to /news; `endpoint` may become another worker's."""

    def __init__(self, door):
        super().__init__(door)
        self.send("40/news,")
        assert self.receive().startswith("40/news,")

    def emit(self, event, *args):
        """POST an event."""
        return self.post(packet(event, *args))


def packet(event, *args):
    return f"42/news,{json.dumps([event, *args], separators=(',', ':'))}"
