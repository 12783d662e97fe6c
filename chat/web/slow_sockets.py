"""Ending the connections of slow clients: what did not come in time, and what was not taken in time."""

from __future__ import annotations

import _socket
import contextlib
import os
import select
import struct
import threading
import time
from typing import Any


class Deadlines:
    """Ends the reading side of sockets from which something did not come in time, in a thread of its own.

    So a read that waits returns the end of the stream, whichever server makes it, and its thread or greenlet is free.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._added = threading.Event()
        #: {id: (when, socket)}, the earliest first.
        self._due: dict[int, tuple[float, Any]] = {}
        self._runs = False

    def begin(self, sock: Any) -> None:
        """Give this socket its time, from now on."""
        with self._lock:
            self._due.pop(id(sock), None)
            self._due[id(sock)] = time.monotonic() + self._seconds, sock
            starts, self._runs = not self._runs, True
        self._added.set()
        if starts:
            threading.Thread(target=self._run, name="chat-deadlines", daemon=True).start()

    def end(self, sock: Any) -> None:
        """What was awaited has come."""
        with self._lock:
            self._due.pop(id(sock), None)

    def _run(self) -> None:
        while True:
            self._added.wait()
            with self._lock:
                first = next(iter(self._due.values()), None)
                if first is None:
                    self._added.clear()
                    continue
                when, sock = first
                wait = when - time.monotonic()
                if wait <= 0:
                    del self._due[id(sock)]
            if wait > 0:
                time.sleep(wait)
            else:
                shut(sock, _socket.SHUT_RD)


def wait_readable(sock: Any, seconds: float) -> None:
    """Wait in this thread until something comes, for so many seconds at most."""
    with contextlib.suppress(OSError, ValueError):
        poller = select.poll()
        poller.register(sock.fileno(), select.POLLIN)
        poller.poll(1000 * seconds)


def peek(sock: Any, size: int) -> bytes:
    """Return at most `size` bytes that have come and were not read, without waiting; over TLS they are of no use."""
    raw = getattr(sock, "_sock", sock)  # gevent's own would wait
    with contextlib.suppress(OSError, ValueError):  # ValueError: ssl's takes no flags
        data: bytes = raw.recv(size, _socket.MSG_PEEK | _socket.MSG_DONTWAIT)
        return data
    return b""


def shut(sock: Any, how: int) -> None:
    """Shut a connection down, below TLS and whatever kind of socket it is; a closed one stays closed."""
    with contextlib.suppress(OSError):
        copy = _socket.socket(fileno=os.dup(sock.fileno()))
        try:
            copy.shutdown(how)
        finally:
            copy.close()


def set_kernel_timeout(sock: Any, seconds: float) -> None:
    """Have the kernel end a connection of which the client has taken nothing for `seconds`, also after its close."""
    with contextlib.suppress(OSError, AttributeError):  # a Unix socket, or not Linux
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_USER_TIMEOUT, int(1000 * seconds))


def reset(sock: Any) -> None:
    """End a connection so that its close resets it, and the kernel keeps nothing of what was not taken."""
    with contextlib.suppress(OSError):
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, struct.pack("ii", 1, 0))
    # gthread's main thread would wait for the client's end before it closes.
    shut(sock, _socket.SHUT_RDWR)
