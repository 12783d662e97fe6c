"""Where the workers of one site on one machine find each other: a folder with a socket file of each.

The folder is its user's alone, and its name follows from the site's secret, so that neither sites nor users meet.
"""

from __future__ import annotations

import _socket
import contextlib
import hashlib
import os
import stat
import tempfile
from pathlib import Path

#: Connections that may wait to be taken, and tries to make a folder that others take away.
BACKLOG, TRIES = 1024, 5


class WorkerDirectory:
    """One site's folder; `key`, at most 64 bytes, is the site's secret. Nothing here blocks, but for the disk."""

    def __init__(self, key: bytes) -> None:
        name = hashlib.blake2b(b"%d" % os.geteuid(), key=key, digest_size=8).hexdigest()
        self.path = Path(tempfile.gettempdir(), f"flask-chat-{name}")

    def listen(self, name: str) -> _socket.socket:
        """Return a socket to which others connect as `name`; OSError where that cannot be."""
        for last in reversed(range(TRIES)):
            self._make()
            try:
                listening = self._bind(name)
            except FileNotFoundError:
                # The last one who was here took the folder away in this very moment.
                if not last:
                    raise
            else:
                break
        self._sweep(name)
        return listening

    def connect(self, name: str) -> _socket.socket | None:
        """Return a connection to the worker of that name, or None: it is gone, or does not answer."""
        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        connection.setblocking(False)
        try:
            self._check()
            connection.connect(str(self.path / name))
        except OSError as error:
            connection.close()
            if isinstance(error, ConnectionRefusedError):
                self._unlink(name)  # its worker ended without a chance to do so
            return None
        return connection

    def leave(self, name: str) -> None:
        """Take the file away, and with the last one the folder."""
        self._unlink(name)
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def _make(self) -> None:
        with contextlib.suppress(FileExistsError):
            self.path.mkdir(0o700)
        with contextlib.suppress(FileNotFoundError):
            self._check()

    def _check(self) -> None:
        """Raise PermissionError for a folder into which others can look, or put theirs."""
        found = self.path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise PermissionError(f"{self.path} is not this user's alone")

    def _bind(self, name: str) -> _socket.socket:
        listening = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            # Under its name only once it listens: a file that refuses connections is taken for a dead worker's.
            listening.bind(str(self.path / f".{name}"))
            listening.listen(BACKLOG)
            (self.path / f".{name}").rename(self.path / name)
        except OSError:
            listening.close()
            raise
        return listening

    def _sweep(self, name: str) -> None:
        """Take away the files of workers that are no more."""
        with contextlib.suppress(OSError):
            for other in self.path.iterdir():
                if other.name != name and not other.name.startswith("."):
                    connection = self.connect(other.name)
                    if connection is not None:
                        connection.close()

    def _unlink(self, name: str) -> None:
        with contextlib.suppress(OSError):
            (self.path / name).unlink()
