"""What waits for one slow client."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Any

#: Pieces of an outbox handed to the kernel in one call.
PIECES = 64


class Outbox:
    """References to the shared bytes that a slow client has not taken yet."""

    __slots__ = ("_pieces", "size", "since")

    def __init__(self, now: float) -> None:
        self._pieces: deque[Any] = deque()
        self.size = 0
        self.since = now

    def append(self, piece: bytes | memoryview) -> None:
        """Add one more piece at the end."""
        if piece:
            self._pieces.append(piece)
            self.size += len(piece)

    def pieces(self) -> list[Any]:
        """Return the first pieces, as many as one call should send."""
        return list(islice(self._pieces, PIECES))

    def sent(self, count: int) -> None:
        """Forget the first `count` bytes."""
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
