"""The sending half of a link: the queue of messages to publish, and the connection that publishes them.

The background task of the connection sends them. The loop may also send them itself, without waiting, by `flush`.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from typing import Any

from ...loop.drivers import allocate_lock

#: Bytes that may wait to be published; messages beyond that are dropped.
MAX_WAITING = 8_388_608

#: (channel, value) as the server has them.
RawMessage = tuple[bytes, bytes]


class Outgoing:
    """The queue and the publishing connection of one link; `command` is the command that publishes a message.

    One background task calls `open`, `send`, `wait` and `close`. No other code reads or writes its connection.
    """

    def __init__(self, command: str) -> None:
        self._command = command
        self._lock = allocate_lock()
        self._queue: deque[RawMessage] = deque()
        self._bytes = 0
        self.is_open = False
        #: The connection while its task waits for work: only then may `flush` write to it.
        self._idle: Any = None
        #: Bytes of a flush that the socket did not take, and replies that have not been read yet.
        self._unsent = b""
        self._unread = 0
        #: Messages that were sent, and messages that could not be sent.
        self.sent = self.dropped = 0

    def put(self, message: RawMessage) -> bool:
        """Queue a message; return False if it is dropped. From any thread."""
        size = len(message[1])
        with self._lock:
            if not self.is_open or self._bytes + size > MAX_WAITING:
                self.dropped += 1
                return False
            self._queue.append(message)
            self._bytes += size
        return True

    def flush(self) -> bool:
        """Send the queue at once if the background task is idle; return whether that task now has work.

        It never blocks: the task sends what the socket does not take.
        """
        if not self._queue:
            return False
        with self._lock:
            connection = self._idle
            if connection is None or self._unsent:
                return False
            messages = self._take_queue()
            self._unsent = _write(connection, b"".join(self._pack(connection, messages)))
            self._unread += len(messages)
        return True

    # ---- the background task ---------------------------------------------------------------------------------------

    def open(self) -> None:
        """Accept messages from now on."""
        self.is_open = True

    def send(self, connection: Any) -> bool:
        """Send the queue and read the server's replies; return False if there was nothing to do."""
        with self._lock:
            messages, unsent, replies = self._take_queue(), self._unsent, self._unread
            self._unsent, self._unread = b"", 0
        data = [unsent] if unsent else []
        if messages:
            data += self._pack(connection, messages)
        if data:
            connection.send_packed_command(data, check_health=False)
        replies += len(messages)
        for _ in range(replies):
            connection.read_response()
        self.sent += replies
        return bool(replies)

    def wait(self, connection: Any, wait: Callable[[], bool]) -> bool:
        """Call `wait()`; meanwhile `flush` may write to `connection` (None: not). Return whether there is work."""
        with self._lock:
            if self._queue:
                return True
            self._idle = connection
        woken = False
        try:
            woken = wait()
        finally:
            with self._lock:
                self._idle = None
        return woken or bool(self._unread)

    def close(self) -> None:
        """Drop the queue and accept no more messages."""
        with self._lock:
            self.is_open = False
            self.dropped += len(self._take_queue())
            self._unsent, self._unread = b"", 0

    def _take_queue(self) -> list[RawMessage]:
        messages = list(self._queue)
        self._queue.clear()
        self._bytes = 0
        return messages

    def _pack(self, connection: Any, messages: list[RawMessage]) -> list[bytes]:
        packed: list[bytes] = connection.pack_commands([(self._command, *message) for message in messages])
        return packed


def _write(connection: Any, data: bytes) -> bytes:
    """Write as much as the socket takes now, and return the rest."""
    try:
        return data[os.write(connection._sock.fileno(), data) :]
    except (OSError, ValueError, AttributeError):
        # The socket is full or gone. The task that reads the replies will find out.
        return data
