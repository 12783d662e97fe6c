"""A room: its members on this worker, what waits to be sent to them, and its order."""

from __future__ import annotations

import time
from collections import OrderedDict
from hashlib import blake2b

from . import codec
from .client import Client
from .envelope import Envelope
from .errors import ChatError
from .roster import Roster
from .stats import Stats

#: Ids that a room without a store remembers.
REMEMBERED = 1_000


class Order:
    """The order of one room, in memory: gives out seq, and knows a repeated id again.

    An ephemeral room gives no seq, but remembers ids all the same.
    """

    __slots__ = ("_last", "_known", "ephemeral")

    def __init__(self, ephemeral: bool) -> None:
        self.ephemeral = ephemeral
        self._last = 0
        self._known: OrderedDict[tuple[str, str], tuple[bytes, int | None, int]] | None = None

    def place(self, envelope: Envelope) -> bool:
        """Give `envelope` its seq and ts and return True; False for a repeat, which gets the first one's.

        Raises ChatError `id_conflict` where the id was used for another body.
        """
        if envelope.id is None or envelope.user is None:
            self._stamp(envelope)
            return True
        key = (envelope.user.id, envelope.id)
        body = _digest(envelope)
        known = None if self._known is None else self._known.get(key)
        if known is not None:
            if known[0] != body:
                raise ChatError("id_conflict", envelope.id)
            envelope.seq, envelope.ts = known[1], known[2]
            return False
        self._stamp(envelope)
        self._remember(key, (body, envelope.seq, envelope.ts))
        return True

    def _stamp(self, envelope: Envelope) -> None:
        envelope.ts = time.time_ns() // 1_000_000
        if not self.ephemeral:
            self._last += 1
            envelope.seq = self._last

    def _remember(self, key: tuple[str, str], value: tuple[bytes, int | None, int]) -> None:
        if self._known is None:
            self._known = OrderedDict()
        self._known[key] = value
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


def _digest(envelope: Envelope) -> bytes:
    text = f"{envelope.type}\0{envelope.to}\0{envelope.data}"
    return blake2b(text.encode(), digest_size=16).digest()


class Room:
    """One room on this worker. All but `members` is the loop's alone; the hub's lock guards `members`."""

    def __init__(self, name: str, roster: Roster, ephemeral: bool) -> None:
        self.name = name
        self.roster = roster
        self.order = Order(ephemeral)
        self.members: dict[Client, None] = {}
        #: Frames said since the last flush, each encoded once.
        self.pending: list[bytes] = []

    def say(self, envelope: Envelope) -> None:
        """Queue one message for every member, the sender too."""
        self.pending.append(codec.chat(envelope))

    def flush(self, stats: Stats) -> None:
        """Send what was said since the last flush: the same bytes to everyone, one write each."""
        pending, self.pending = self.pending, []
        data = pending[0] if len(pending) == 1 else b"".join(pending)
        stats.flushes.observe(len(data))
        broadcast(self.members, data, stats, len(pending))


def broadcast(
    members: dict[Client, None] | list[Client], data: bytes, stats: Stats, messages: int = 1
) -> None:
    """Write `data`, which holds so many messages, once to each of `members`.

    One that cannot take it all now keeps the rest; a dead one is dropped.
    """
    size = len(data)
    stats.messages_out += messages * len(members)
    stats.bytes_out += size * len(members)
    behind: list[tuple[Client, int]] = []
    dead: list[Client] = []
    for client in members:
        try:
            sent = client.send(data)
        except BlockingIOError:
            behind.append((client, 0))
        except OSError:
            dead.append(client)
        else:
            if sent != size:
                behind.append((client, sent))
    # Only now: both may take a client out of `members`.
    for client, sent in behind:
        client.keep(data, sent)
    for client in dead:
        client.drop()
