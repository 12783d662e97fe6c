"""A room: its members on this worker, what waits to be sent to them, and its order."""

from __future__ import annotations

from collections.abc import Iterator

from .codec import NATIVE, Codec
from .envelope import Envelope
from .member import Member
from .order import Order
from .roster import Roster
from .stats import Stats


class Audience:
    """The members of a room that are spoken to in one codec: each message is encoded once for all of them."""

    __slots__ = ("members", "pending")

    def __init__(self) -> None:
        self.members: dict[Member, None] = {}
        #: Frames said since the last flush.
        self.pending: list[bytes] = []


class Room:
    """One room on this worker. All but who is in it is the loop's alone; the hub's lock guards that."""

    def __init__(self, name: str, roster: Roster, ephemeral: bool) -> None:
        self.name = name
        self.roster = roster
        self.order = Order(ephemeral)
        self.audiences: dict[Codec, Audience] = {NATIVE: Audience()}
        #: True while something waits for the flush.
        self.pending = False

    def __contains__(self, member: Member) -> bool:
        audience = self.audiences.get(member.wire.codec)
        return audience is not None and member in audience.members

    def members(self) -> Iterator[Member]:
        """Walk over all members."""
        for audience in self.audiences.values():
            yield from audience.members

    def add(self, member: Member) -> None:
        """Let `member` hear what is said from now on."""
        codec = member.wire.codec
        audience = self.audiences.get(codec)
        if audience is None:
            audience = self.audiences[codec] = Audience()
        audience.members[member] = None

    def remove(self, member: Member) -> None:
        """Let `member`, who is in the room, hear no more."""
        del self.audiences[member.wire.codec].members[member]

    def say(self, envelope: Envelope) -> None:
        """Queue one message for every member, the sender too."""
        self.pending = True
        for codec, audience in self.audiences.items():
            if audience.members or codec.keeps:
                audience.pending.append(codec.chat(envelope))

    def flush(self, stats: Stats) -> None:
        """Send what was said since the last flush: the same bytes to everyone of a codec, one write each."""
        self.pending = False
        for audience in self.audiences.values():
            pending = audience.pending
            if not pending:
                continue
            audience.pending = []
            data = pending[0] if len(pending) == 1 else b"".join(pending)
            stats.flushes.observe(len(data))
            broadcast(audience.members, data, stats, len(pending))


def broadcast(
    members: dict[Member, None] | list[Member], data: bytes, stats: Stats, messages: int = 1
) -> None:
    """Write `data`, which holds so many messages, once to each of `members`.

    One that cannot take it all now keeps the rest; a dead one is dropped.
    """
    size = len(data)
    stats.messages_out += messages * len(members)
    stats.bytes_out += size * len(members)
    behind: list[tuple[Member, int]] = []
    dead: list[Member] = []
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
