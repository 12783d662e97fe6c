"""A room: its members on this worker, what waits to be sent to them, and its order."""

from __future__ import annotations

from . import codec
from .client import Client
from .envelope import Envelope
from .order import Order
from .roster import Roster
from .stats import Stats


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
            sent = client.out.send(data)
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
