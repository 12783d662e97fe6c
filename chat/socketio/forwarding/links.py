"""What two workers of one machine say to each other, and the connection between them.

A message is a head, a JSON object, and a body of bytes; the lengths of both come first. A message may take a descriptor
along: one whose head says `"fd": true` has one.
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
#: Bytes of a head, and of a body, at the most: whatever says that it sends more is no worker of ours.
MAX_HEAD, MAX_BODY = 1 << 16, 1 << 28
#: Bytes read in a tick, and room for the descriptors that come with them: no more than one message's at once.
READ_BYTES = 1 << 18
_FD = struct.Struct("i")
_ROOM = socket.CMSG_SPACE(_FD.size)
#: Seconds of rest for a listener where there is no descriptor for another connection.
REST = 0.1

Head = dict[str, Any]


def encode(head: Head, body: bytes = b"") -> bytes:
    """Return a message as it is sent."""
    said = orjson.dumps(head)
    return LENGTHS.pack(len(said), len(body)) + said + body


class Reader:
    """Takes a stream apart into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterable[tuple[Head, bytes]]:
        """Yield each message that is whole with `data`; raise ValueError for what no worker says."""
        buffer = self._buffer
        buffer += data
        while len(buffer) >= LENGTHS.size:
            head, body = LENGTHS.unpack_from(buffer)
            if head > MAX_HEAD or body > MAX_BODY:
                raise ValueError("too long for a message between workers")
            begin, end = LENGTHS.size + head, LENGTHS.size + head + body
            if len(buffer) < end:
                return
            said = orjson.loads(buffer[LENGTHS.size : begin])
            if not isinstance(said, dict):
                raise ValueError("a message between workers has an object for its head")
            payload = bytes(buffer[begin:end])
            del buffer[:end]
            yield said, payload


class Link:
    """One end of a connection between two workers, parked in the reactor; all of it happens in the loop.

    `heard(link, head, body)` is called with each message, `ended(link)` once.
    """

    def __init__(
        self,
        reactor: Reactor,
        connection: _socket.socket,
        heard: Callable[[Link, Head, bytes], None],
        ended: Callable[[Link], None],
    ) -> None:
        self._reactor = reactor
        self._socket = connection
        self._socket.setblocking(False)
        self._heard = heard
        self._ended = ended
        self._reader = Reader()
        #: What the kernel has not taken yet, each with the descriptor that goes along.
        self._waiting: deque[tuple[memoryview, int | None]] = deque()
        #: Descriptors that have come, and whose message has not.
        self._came: deque[int] = deque()
        self.fd = connection.fileno()
        reactor.add(self, lasting=True)

    def send(self, head: Head, body: bytes = b"", fd: int | None = None) -> None:
        """Send a message; `fd` goes along, and is closed here whatever becomes of it."""
        if fd is not None:
            head = {**head, "fd": True}
        if self.fd < 0:
            close_fd(fd)
            return
        idle = not self._waiting
        self._waiting.append((memoryview(encode(head, body)), fd))
        if idle:
            self._push()
            if self._waiting:
                self._reactor.watch_writable(self, True)

    def writable(self) -> None:
        """Send what waits."""
        self._push()
        if not self._waiting:
            self._reactor.watch_writable(self, False)

    def _push(self) -> None:
        waiting = self._waiting
        while waiting:
            data, fd = waiting[0]
            try:
                sent = self._socket.sendmsg([data], _enclosing(fd))
            except BlockingIOError:
                return
            except OSError:
                self.drop()
                return
            close_fd(fd)
            waiting.popleft()
            if sent < len(data):
                waiting.appendleft((data[sent:], None))

    def readable(self) -> bool:
        """Read once, bounded, and hand on what is whole."""
        try:
            data, enclosed, _, _ = self._socket.recvmsg(READ_BYTES, _ROOM, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return False
        except OSError:
            data, enclosed = b"", []
        self._came += _descriptors(enclosed)
        if not data:
            self.drop()
            return False
        for head, body in self._reader.feed(data):
            self._heard(self, head, body)
            if self.fd < 0:
                break
        return False

    def take_fd(self) -> int:
        """Return the descriptor that came with the message that is being heard; it is the caller's from here on."""
        return self._came.popleft()

    def fail(self, error: BaseException) -> None:
        """End: what came over it cannot be understood."""
        self.drop()

    def drop(self) -> None:
        """End it here and now."""
        if self.fd < 0:
            return
        self._reactor.remove(self)
        self.fd = -1
        self._socket.close()
        for fd in (*self._came, *(fd for _, fd in self._waiting)):
            close_fd(fd)
        self._came.clear()
        self._waiting.clear()
        self._ended(self)


class Listener:
    """Where a worker's neighbours connect; `met(connection)` is called in the loop with each new one."""

    def __init__(
        self, reactor: Reactor, listening: _socket.socket, met: Callable[[_socket.socket], None]
    ) -> None:
        self._reactor = reactor
        self._socket = listening
        self._socket.setblocking(False)
        self._met = met
        self.fd = listening.fileno()

    def begin(self) -> None:
        """Take connections from now on; in the loop."""
        if self.fd >= 0:
            self._reactor.add(self, lasting=True)

    def readable(self) -> bool:
        """Take one connection; the epoll tells of the others."""
        try:
            fd, _ = self._socket._accept()  # type: ignore[attr-defined]
        except BlockingIOError:
            return False
        except OSError:
            # No descriptor is left for it: the epoll would tell of it again and again.
            self._reactor.remove(self)
            self._reactor.call_later(REST, self.begin)
            return False
        self._met(_socket.socket(fileno=fd))
        return False

    def writable(self) -> None:
        """Never asked for."""

    def fail(self, error: BaseException) -> None:
        """A neighbour that could not be met is none; the others may come."""

    def drop(self) -> None:
        """Take no more connections."""
        if self.fd >= 0:
            self._reactor.remove(self)
            self.fd = -1
            self._socket.close()


def _enclosing(fd: int | None) -> list[tuple[int, int, bytes]]:
    return [] if fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, _FD.pack(fd))]


def _descriptors(enclosed: list[tuple[int, int, bytes]]) -> list[int]:
    return [
        _FD.unpack(data)[0]
        for level, kind, data in enclosed
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
    ]


def close_fd(fd: int | None) -> None:
    """Close a descriptor here and now: gevent's `os.close` does so later, and may wait, which nothing in a tick may."""
    if fd is not None:
        _socket.close(fd)
