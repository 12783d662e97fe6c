"""Ephemeral rooms store and number nothing, but recognise an id that is sent again."""

from __future__ import annotations

import time
from collections import OrderedDict
from hashlib import blake2b

from ..wire.envelope import Envelope
from ..wire.errors import ChatError

#: Ids kept for an ephemeral room, and for all ephemeral direct conversations together.
REMEMBERED = 1_000
REMEMBERED_DIRECT = 20_000


class Dedupe:
    """The last `bound` ids of one or more rooms, each with the time of its message."""

    __slots__ = ("_bound", "_entries")

    def __init__(self, bound: int = REMEMBERED) -> None:
        self._bound = bound
        self._entries: OrderedDict[tuple[str | None, str, str], tuple[bytes, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def register(self, envelope: Envelope) -> bool:
        """Set the ts of `envelope` and return True; return False for a repeat, which gets the ts of the first.

        Raises ChatError `id_conflict` where the id belongs to a message with another body.
        """
        if envelope.id is None or envelope.user is None:
            envelope.ts = _now_ms()
            return True
        key = envelope.room, envelope.user.id, envelope.id
        digest = _digest(envelope)
        entry = self._entries.get(key)
        if entry is not None:
            if entry[0] != digest:
                raise ChatError("id_conflict", envelope.id)
            envelope.ts = entry[1]
            return False
        envelope.ts = _now_ms()
        self._entries[key] = digest, envelope.ts
        if len(self._entries) > self._bound:
            self._entries.popitem(last=False)
        return True


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _digest(envelope: Envelope) -> bytes:
    text = f"{envelope.type}\0{envelope.to}\0{envelope.data}"
    return blake2b(text.encode(), digest_size=16).digest()
