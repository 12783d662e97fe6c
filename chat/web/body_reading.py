"""Bodies that are costly to read: of many small chunks, or larger than anybody wants.

gevent switches to another greenlet only where a read has to wait. A client that sends faster than the server reads, or
a megabyte in chunks of one byte, would have the worker to itself.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from typing import Any

#: Bytes read in one turn, before other greenlets run. A chunk and a call count as so many at least: for each call
#: gunicorn copies what it has received beyond it, up to a megabyte.
TURN, CHUNK, CALL = 65_536, 1_024, 16_384
#: Chunks that a body may have, and one more for each so many of its bytes.
MAX_CHUNKS, BYTES_PER_CHUNK = 1_024, 256


def read_in_turns(body: Any) -> None:
    """Have gunicorn's `body` be read in turns, by the site and by gunicorn itself; other servers' stay as they are."""
    if hasattr(body, "reader"):
        body.reader = _Reader(body.reader)


class _Reader:
    """gunicorn's reader of a body, which lets others run now and then."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self._left = TURN
        if getattr(reader, "parser", None) is not None:  # it generates the chunks
            reader.parser = self._chunks(reader.parser)

    def read(self, size: int) -> bytes:
        """Read as the server's own does."""
        data: bytes = self._reader.read(size)
        self._count(max(CALL, len(data)))
        return data

    def _chunks(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        allowed: float = MAX_CHUNKS
        for chunk in chunks:
            self._count(CHUNK)
            allowed += len(chunk) / BYTES_PER_CHUNK - 1
            if allowed < 0:
                # As if the client had gone: the view answers 400, and gunicorn closes the connection.
                raise ConnectionResetError(errno.ECONNRESET, "too many chunks")
            yield chunk

    def _count(self, size: int) -> None:
        self._left -= size
        if self._left <= 0:
            self._left = TURN
            time.sleep(0)  # gevent's, where it has patched
