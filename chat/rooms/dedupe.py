"""Ephemeral rooms: nothing is stored and nothing numbered, but an id that comes again is known again."""

from __future__ import annotations

import time
from collections import OrderedDict
from hashlib import blake2b

from ..wire.envelope import Envelope
from ..wire.errors import ChatError

#: Ids that an ephemeral room remembers, and that all ephemeral direct conversations remember together.
REMEMBERED = 1_000
REMEMBERED_DIRECT = 20_000


class Dedupe:
    """The last `bound` ids of one room or of many, each with the time that its message got."""

    __slots__ = ("_bound", "_entries")

    def __init__(self, bound: int = REMEMBERED) -> None:
        self._bound = bound
        self._entries: OrderedDict[tuple[str | None, str, str], tuple[bytes, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def register(self, envelope: Envelope) -> bool:
        """Give `envelope` its ts and return True; False for a repeat, which gets the first one's.

        Raises ChatError `id_conflict` where the id was used for another body.
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
