"""The cost of a Socket.IO long-polling request that reaches a worker other than its session's.

    python -m bench.forwarded [requests per round]

Two gunicorn workers share one port. Over a connection to one of them, the same requests are made for a session of that
worker and for a session of the other: a POST, and a poll that returns a packet. The CPU is that of both workers.
"""

import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

from bench.processes import cpu_seconds, tree

CONF = """
from runpy import run_path
globals().update(run_path("gunicorn.conf.py"))
del on_starting  # it refuses several workers; here no session uses the chat
"""
ADDRESS = "/socket.io/?EIO=4&transport=polling"
#: CONNECT to an unknown namespace: the server answers CONNECT_ERROR, so the next poll returns a packet.
CONNECT, CONNECT_ERROR = b"40/nobody,", b"44/nobody,"
ROUNDS = 15


@contextmanager
def serving(home):
    """Serve the reference site with two workers; yield their pids and the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    conf = Path(home, "conf.py")
    conf.write_text(CONF)
    env = {
        **os.environ,
        "SECRET_KEY": secrets.token_hex(32),
        "CHAT_DATABASE_URL": f"sqlite:///{home}/chat.db",
        "CHAT_IO_CHAT_NAMESPACE": "",
        "ACCESS_LOG": "",
    }
    words = [
        "-b",
        f"127.0.0.1:{port}",
        "-w",
        "2",
        "-c",
        str(conf),
        "--keep-alive",
        "600",
        "--log-level",
        "error",
    ]
    server = subprocess.Popen([Path(sys.executable).with_name("gunicorn"), *words, "wsgi:app"], env=env)
    try:
        yield wait_for_workers(server.pid, port), port
    finally:
        server.terminate()
        server.wait()


def wait_for_workers(pid, port):
    while True:
        time.sleep(0.2)
        try:
            pids = [one for one in tree(pid) if one != pid]
            if len(pids) == 2 and all(Client(port, own, pids) for own in pids):
                return pids
        except OSError:
            continue  # not listening yet


class Client:
    """A connection accepted by the worker `own` (the others are stopped meanwhile), with a session on that worker."""

    def __init__(self, port, own, pids):
        others = [pid for pid in pids if pid != own]
        for pid in others:
            os.kill(pid, signal.SIGSTOP)
        try:
            self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            self.sid = json.loads(self.request("GET", ADDRESS)[1:])["sid"]
        finally:
            for pid in others:
                os.kill(pid, signal.SIGCONT)

    def request(self, method, address, body=None):
        self._connection.request(method, address, body)
        return self._connection.getresponse().read()

    def measure(self, sid, count):
        """Return the seconds that each POST and each poll of a session took."""
        address, posts, polls = f"{ADDRESS}&sid={sid}", [], []
        for _ in range(count):
            start = time.perf_counter()
            assert self.request("POST", address, CONNECT) == b"ok"
            between = time.perf_counter()
            assert self.request("GET", address).startswith(CONNECT_ERROR)
            posts.append(between - start)
            polls.append(time.perf_counter() - between)
        return posts, polls


def main(count):
    seconds = {"local": ([], [], []), "forwarded": ([], [], [])}
    with tempfile.TemporaryDirectory() as home, serving(home) as (pids, port):
        for _ in range(ROUNDS):
            one, other = (Client(port, pid, pids) for pid in pids)
            for name, session in (("local", one), ("forwarded", other)):
                one.measure(session.sid, 50)
                cpu = sum(map(cpu_seconds, pids))
                posts, polls = one.measure(session.sid, count)
                cpu = sum(map(cpu_seconds, pids)) - cpu
                for kept, new in zip(seconds[name], (posts, polls, [cpu / count / 2]), strict=True):
                    kept += new
    for name, (posts, polls, cpus) in seconds.items():
        print(
            f"{name:9} POST {describe(posts)}   poll {describe(polls)}   CPU {median(cpus) * 1e6:.0f} µs a request"
        )


def describe(seconds):
    return f"p50 {median(seconds) * 1e3:.2f} ms, p99 {quantiles(seconds, n=100)[98] * 1e3:.2f} ms"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
