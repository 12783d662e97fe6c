"""The connection between two workers of one machine: its framing, and the passing of descriptors.

A message is a head, a JSON object, and a body of bytes; the lengths of both come first. A message may carry a
descriptor: its head then says `"fd": true`.
"""

from __future__ import annotations

import _socket
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from ...loop.reactor import Reactor

LENGTHS = struct.Struct(">II")
#: Largest head and body, in bytes: a connection that announces more does not come from a worker.
MAX_HEAD, MAX_BODY = 1 << 16, 1 << 28
#: Bytes read in a tick, and space for the descriptors that come with them: never more than one message's at once.
READ_BYTES = 1 << 18
_FD = struct.Struct("i")
_FD_SPACE = socket.CMSG_SPACE(_FD.size)
#: Seconds that a listener pauses when no descriptor is left for another connection.
ACCEPT_PAUSE = 0.1

Head = dict[str, Any]


def encode(head: Head, body: bytes = b"") -> bytes:
    """Return a message as it is sent."""
    json = orjson.dumps(head)
    return LENGTHS.pack(len(json), len(body)) + json + body


class Reader:
    """Splits a stream into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterable[tuple[Head, bytes]]:
        """Yield each message that is complete with `data`; raise ValueError for anything malformed."""
        buffer = self._buffer
        buffer += data
        while len(buffer) >= LENGTHS.size:
            head_size, body_size = LENGTHS.unpack_from(buffer)
            if head_size > MAX_HEAD or body_size > MAX_BODY:
                raise ValueError("too long for a message between workers")
            begin, end = LENGTHS.size + head_size, LENGTHS.size + head_size + body_size
            if len(buffer) < end:
                return
            head = orjson.loads(buffer[LENGTHS.size : begin])
            if not isinstance(head, dict):
                raise ValueError("the head of a message between workers must be an object")
            body = bytes(buffer[begin:end])
            del buffer[:end]
            yield head, body


class Link:
    """One end of a connection between two workers, parked in the reactor; all of it runs in the loop.

    `on_message(link, head, body)` is called with each message, `on_close(link)` once.
    """

    def __init__(
        self,
        reactor: Reactor,
        connection: _socket.socket,
        on_message: Callable[[Link, Head, bytes], None],
        on_close: Callable[[Link], None],
    ) -> None:
        self._reactor = reactor
        self._socket = connection
        self._socket.setblocking(False)
        self._on_message = on_message
        self._on_close = on_close
        self._reader = Reader()
        #: Data that the kernel has not taken yet, each with the descriptor that goes along.
        self._outbox: deque[tuple[memoryview, int | None]] = deque()
        #: Descriptors that have arrived, and whose message has not.
        self._received_fds: deque[int] = deque()
        self.fd = connection.fileno()
        reactor.add(self, internal=True)

    def send(self, head: Head, body: bytes = b"", fd: int | None = None) -> None:
        """Send a message; `fd` goes along, and is closed here in any case."""
        if fd is not None:
            head = {**head, "fd": True}
        if self.fd < 0:
            close_fd(fd)
            return
        idle = not self._outbox
        self._outbox.append((memoryview(encode(head, body)), fd))
        if idle:
            self._push()
            if self._outbox:
                self._reactor.watch_writable(self, True)

    def writable(self) -> None:
        """Send what waits."""
        self._push()
        if not self._outbox:
            self._reactor.watch_writable(self, False)

    def _push(self) -> None:
        outbox = self._outbox
        while outbox:
            data, fd = outbox[0]
            try:
                sent = self._socket.sendmsg([data], _ancillary(fd))
            except BlockingIOError:
                return
            except OSError:
                self.drop()
                return
            close_fd(fd)
            outbox.popleft()
            if sent < len(data):
                outbox.appendleft((data[sent:], None))

    def readable(self) -> bool:
        """Read once, bounded, and deliver the messages that are complete."""
        try:
            data, ancillary, _, _ = self._socket.recvmsg(READ_BYTES, _FD_SPACE, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return False
        except OSError:
            data, ancillary = b"", []
        self._received_fds += _descriptors(ancillary)
        if not data:
            self.drop()
            return False
        for head, body in self._reader.feed(data):
            self._on_message(self, head, body)
            if self.fd < 0:
                break
        return False

    def take_fd(self) -> int:
        """Return the descriptor of the message that is being delivered; the caller owns it."""
        return self._received_fds.popleft()

    def fail(self, error: BaseException) -> None:
        """Close it: the peer sent something malformed."""
        self.drop()

    def drop(self) -> None:
        """Close it at once."""
        if self.fd < 0:
            return
        self._reactor.remove(self)
        self.fd = -1
        self._socket.close()
        for fd in (*self._received_fds, *(fd for _, fd in self._outbox)):
            close_fd(fd)
        self._received_fds.clear()
        self._outbox.clear()
        self._on_close(self)


class Listener:
    """The socket that a worker's peers connect to; `on_connection(connection)` is called in the loop with each."""

    def __init__(
        self, reactor: Reactor, listening: _socket.socket, on_connection: Callable[[_socket.socket], None]
    ) -> None:
        self._reactor = reactor
        self._socket = listening
        self._socket.setblocking(False)
        self._on_connection = on_connection
        self.fd = listening.fileno()

    def start(self) -> None:
        """Accept connections from now on; in the loop."""
        if self.fd >= 0:
            self._reactor.add(self, internal=True)

    def readable(self) -> bool:
        """Accept one connection; epoll reports the next."""
        try:
            fd, _ = self._socket._accept()  # type: ignore[attr-defined]
        except BlockingIOError:
            return False
        except OSError:
            # No descriptor is left for it: epoll would report it again and again.
            self._reactor.remove(self)
            self._reactor.call_later(ACCEPT_PAUSE, self.start)
            return False
        self._on_connection(_socket.socket(fileno=fd))
        return False

    def writable(self) -> None:
        """Never called."""

    def fail(self, error: BaseException) -> None:
        """Ignore it: one connection failed, and others may come."""

    def drop(self) -> None:
        """Accept no more connections."""
        if self.fd >= 0:
            self._reactor.remove(self)
            self.fd = -1
            self._socket.close()


def _ancillary(fd: int | None) -> list[tuple[int, int, bytes]]:
    return [] if fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, _FD.pack(fd))]


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    return [
        _FD.unpack(data)[0]
        for level, kind, data in ancillary
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
    ]


def close_fd(fd: int | None) -> None:
    """Close a descriptor at once: gevent's `os.close` does so later, and may wait, which nothing in a tick may."""
    if fd is not None:
        _socket.close(fd)
