"""The bytes that wait for one slow client."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Any

#: Pieces of an outbox passed to the kernel in one call.
PIECES = 64


class Outbox:
    """References to the shared bytes that the kernel has not taken yet for a slow client."""

    __slots__ = ("_pieces", "size", "since")

    def __init__(self, now: float) -> None:
        self._pieces: deque[Any] = deque()
        self.size = 0
        self.since = now

    def append(self, piece: bytes | memoryview) -> None:
        """Add a piece at the end."""
        if piece:
            self._pieces.append(piece)
            self.size += len(piece)

    def pieces(self) -> list[Any]:
        """Return the first pieces, as many as one call sends."""
        return list(islice(self._pieces, PIECES))

    def sent(self, count: int) -> None:
        """Remove the first `count` bytes."""
        self.size -= count
        pieces = self._pieces
        while count:
            first = len(pieces[0])
            if first > count:
                pieces[0] = memoryview(pieces[0])[count:]
                return
            pieces.popleft()
            count -= first

    def keep_first(self) -> None:
        """Drop all but the first piece."""
        while len(self._pieces) > 1:
            self.size -= len(self._pieces.pop())
