"""The order of what is said where nothing is stored: who gets which seq, and which ids came before."""

from __future__ import annotations

import time
from collections import OrderedDict
from hashlib import blake2b

from .config import Settings
from .envelope import Envelope
from .errors import ChatError

#: Ids that a room without a store remembers, and that all direct conversations remember together.
REMEMBERED = 1_000
REMEMBERED_DIRECT = 20_000
#: Direct conversations whose seq is kept in memory; the one longest silent is forgotten first.
CONVERSATIONS = 10_000


class Known:
    """The last `bound` ids of one room or of many, each with what its message got."""

    __slots__ = ("_bound", "_entries")

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._entries: OrderedDict[tuple[str | None, str, str], tuple[bytes, int | None, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def recall(self, envelope: Envelope) -> bool:
        """Give `envelope` the seq and ts of the message that it repeats; False where it repeats none.

        Raises ChatError `id_conflict` where the id was used for another body.
        """
        entry = self._entries.get(_key(envelope))
        if entry is None:
            return False
        if entry[0] != _digest(envelope):
            raise ChatError("id_conflict", envelope.id)
        envelope.seq, envelope.ts = entry[1], entry[2]
        return True

    def remember(self, envelope: Envelope) -> None:
        """Know `envelope`, which has its seq and ts, from now on."""
        self._entries[_key(envelope)] = _digest(envelope), envelope.seq, envelope.ts
        if len(self._entries) > self._bound:
            self._entries.popitem(last=False)


class Order:
    """The order of one room, in memory: gives out seq, and knows a repeated id again.

    An ephemeral room gives no seq, but knows its ids all the same.
    """

    __slots__ = ("_known", "_last", "ephemeral")

    def __init__(self, ephemeral: bool, known: Known | None = None) -> None:
        self.ephemeral = ephemeral
        self._last = 0
        self._known = Known(REMEMBERED) if known is None else known

    def place(self, envelope: Envelope) -> bool:
        """Give `envelope` its seq and ts and return True; False for a repeat, which gets the first one's.

        Raises ChatError `id_conflict` where the id was used for another body.
        """
        repeatable = envelope.id is not None and envelope.user is not None
        if repeatable and self._known.recall(envelope):
            return False
        envelope.ts = time.time_ns() // 1_000_000
        if not self.ephemeral:
            self._last += 1
            envelope.seq = self._last
        if repeatable:
            self._known.remember(envelope)
        return True


class Conversations:
    """The orders of all direct conversations, bounded together: many of them never hear a second message."""

    def __init__(self, settings: Settings) -> None:
        self._is_ephemeral = settings.is_ephemeral
        self._all_ephemeral = "dm:*" in settings.ephemeral_rooms
        self._known = Known(REMEMBERED_DIRECT)
        self._orders: OrderedDict[str, Order] = OrderedDict()
        # Without seq there is nothing to keep of a conversation but its ids: one order does for all.
        self._unordered = Order(True, self._known)

    def order(self, name: str) -> Order:
        """Return the order of the conversation `name`."""
        if self._all_ephemeral or self._is_ephemeral(name):
            return self._unordered
        order = self._orders.get(name)
        if order is None:
            order = self._orders[name] = Order(False, self._known)
            if len(self._orders) > CONVERSATIONS:
                self._orders.popitem(last=False)
        else:
            self._orders.move_to_end(name)
        return order


def _key(envelope: Envelope) -> tuple[str | None, str, str]:
    assert envelope.user is not None and envelope.id is not None
    return envelope.room, envelope.user.id, envelope.id


def _digest(envelope: Envelope) -> bytes:
    text = f"{envelope.type}\0{envelope.to}\0{envelope.data}"
    return blake2b(text.encode(), digest_size=16).digest()
