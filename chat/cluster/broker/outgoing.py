"""What is to be published on one connection. It waits for the run that sends it, or leaves at once from the loop."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from typing import Any

from ...loop.drivers import allocate_lock

#: Bytes that wait to be published; beyond it hints are dropped.
MAX_WAITING = 8_388_608

Hint = tuple[bytes, bytes]


class Outgoing:
    """The hints of one link, (channel, value) each; `word` is the command that publishes one.

    One run calls `open`, `send`, `wait` and `close`, with a connection on which nobody else writes or reads.
    """

    def __init__(self, word: str) -> None:
        self._word = word
        self._lock = allocate_lock()
        self._hints: deque[Hint] = deque()
        self._bytes = 0
        self.is_open = False
        #: The connection while its run waits for something to do.
        self._idle: Any = None
        #: What could not leave at once, and how many answers are to be read.
        self._rest = b""
        self._owed = 0
        #: Hints that went out, and that could not go out.
        self.sent = self.dropped = 0

    def put(self, hint: Hint) -> bool:
        """Have it sent; False where it is dropped. From any thread."""
        size = len(hint[1])
        with self._lock:
            if not self.is_open or self._bytes + size > MAX_WAITING:
                self.dropped += 1
                return False
            self._hints.append(hint)
            self._bytes += size
        return True

    def flush(self) -> bool:
        """Send what waits at once, where its run is idle; tell whether that run has something to do then.

        It never blocks: what the socket does not take the run sends.
        """
        if not self._hints:
            return False
        with self._lock:
            connection = self._idle
            if connection is None or self._rest:
                return False
            hints = self._take()
            self._rest = _write(connection, b"".join(self._pack(connection, hints)))
            self._owed += len(hints)
        return True

    # ---- its run ---------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Take hints from now on."""
        self.is_open = True

    def send(self, connection: Any) -> bool:
        """Send all that waits, and read what answers it; False where there is nothing to do."""
        with self._lock:
            hints, rest, answers = self._take(), self._rest, self._owed
            self._rest, self._owed = b"", 0
        data = [rest] if rest else []
        if hints:
            data += self._pack(connection, hints)
        if data:
            connection.send_packed_command(data, check_health=False)
        answers += len(hints)
        for _ in range(answers):
            connection.read_response()
        self.sent += answers
        return bool(answers)

    def wait(self, connection: Any, wait: Callable[[], bool]) -> bool:
        """Wait, and let hints leave by `connection`, if any, meanwhile; tell whether there is something to do."""
        with self._lock:
            if self._hints:
                return True
            self._idle = connection
        woken = False
        try:
            woken = wait()
        finally:
            with self._lock:
                self._idle = None
        return woken or bool(self._owed)

    def close(self) -> None:
        """Drop what waits, and take nothing more."""
        with self._lock:
            self.is_open = False
            self.dropped += len(self._take())
            self._rest, self._owed = b"", 0

    def _take(self) -> list[Hint]:
        hints = list(self._hints)
        self._hints.clear()
        self._bytes = 0
        return hints

    def _pack(self, connection: Any, hints: list[Hint]) -> list[bytes]:
        packed: list[bytes] = connection.pack_commands([(self._word, *hint) for hint in hints])
        return packed


def _write(connection: Any, data: bytes) -> bytes:
    """Write what the socket takes now, and return the rest."""
    try:
        return data[os.write(connection._sock.fileno(), data) :]
    except (OSError, ValueError, AttributeError):
        # It is full, or gone: whoever reads the answers finds out.
        return data
