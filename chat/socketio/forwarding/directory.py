"""The directory in which the workers of one site on one machine find each other: each has a Unix socket there.

Only its user may open it, and its name is derived from the site's secret, so that neither sites nor users meet.
"""

from __future__ import annotations

import _socket
import contextlib
import hashlib
import os
import stat
import tempfile
from pathlib import Path

#: Connections that may wait to be accepted, and attempts to make a directory that other workers remove.
BACKLOG, TRIES = 1024, 5


class WorkerDirectory:
    """One site's directory; `key`, at most 64 bytes, is the site's secret. Nothing here blocks, but for the disk."""

    def __init__(self, key: bytes) -> None:
        name = hashlib.blake2b(b"%d" % os.geteuid(), key=key, digest_size=8).hexdigest()
        self.path = Path(tempfile.gettempdir(), f"flask-chat-{name}")

    def listen(self, name: str) -> _socket.socket:
        """Return a socket that peers connect to as `name`; OSError where that is not possible."""
        for last in reversed(range(TRIES)):
            self._make()
            try:
                listening = self._bind(name)
            except FileNotFoundError:
                # The last worker that left has just removed the directory.
                if not last:
                    raise
            else:
                break
        self._sweep(name)
        return listening

    def connect(self, name: str) -> _socket.socket | None:
        """Return a connection to the worker of that name; None where it has ended or does not accept."""
        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        connection.setblocking(False)
        try:
            self._check()
            connection.connect(str(self.path / name))
        except OSError as error:
            connection.close()
            if isinstance(error, ConnectionRefusedError):
                self._unlink(name)  # its worker was killed, and could not
            return None
        return connection

    def leave(self, name: str) -> None:
        """Remove the worker's socket file, and with the last one the directory."""
        self._unlink(name)
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def _make(self) -> None:
        with contextlib.suppress(FileExistsError):
            self.path.mkdir(0o700)
        with contextlib.suppress(FileNotFoundError):
            self._check()

    def _check(self) -> None:
        """Raise PermissionError for a directory that other users can read or write."""
        found = self.path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise PermissionError(f"{self.path} is not this user's alone")

    def _bind(self, name: str) -> _socket.socket:
        listening = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            # It gets its name once it listens: a file that refuses connections is taken for a dead worker's.
            listening.bind(str(self.path / f".{name}"))
            listening.listen(BACKLOG)
            (self.path / f".{name}").rename(self.path / name)
        except OSError:
            listening.close()
            raise
        return listening

    def _sweep(self, name: str) -> None:
        """Remove the files of workers that have ended."""
        with contextlib.suppress(OSError):
            for other in self.path.iterdir():
                if other.name != name and not other.name.startswith("."):
                    connection = self.connect(other.name)
                    if connection is not None:
                        connection.close()

    def _unlink(self, name: str) -> None:
        with contextlib.suppress(OSError):
            (self.path / name).unlink()
