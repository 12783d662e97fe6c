"""A room: its members on this worker, what waits to be sent to them, and its order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..loop.stats import Stats
from ..wire.codec import NATIVE, Codec
from ..wire.envelope import Envelope
from .dedupe import Dedupe
from .member import Member
from .roster import Roster
from .seq_gate import SeqGate


class Audience:
    """The members of a room that are spoken to in one codec: each message is encoded once for all of them."""

    __slots__ = ("members", "pending")

    def __init__(self) -> None:
        #: Each with the version of the roster's list that it was sent last.
        self.members: dict[Member, int] = {}
        #: What was said since the last flush, as the codec has drafted it.
        self.pending: list[Any] = []


class JoinBuffer:
    """A member that is still being told what it missed; what is said meanwhile waits for it."""

    __slots__ = ("messages", "overflowed")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Keep what is said from now on; what was said until now it is told otherwise."""
        self.messages: list[Envelope] = []
        #: More was said than is kept: it has to reload.
        self.overflowed = False


class Room:
    """One room on this worker. All but who is in it is the loop's alone; the hub's lock guards that.

    `gate` is None where nothing is stored: in ephemeral rooms, which know repeated ids by `known`. `talks` is called
    when something waits for the flush.
    """

    def __init__(
        self,
        name: str,
        roster: Roster,
        gate: SeqGate | None,
        talks: Callable[[Room], None],
        keep: int = 1_000,
    ) -> None:
        self.name = name
        self.roster = roster
        self.gate = gate
        self.dedupe = Dedupe() if gate is None else None
        #: The store's number for it, and its epoch.
        self.id = 0
        self.epoch = ""
        self.audiences: dict[Codec, Audience] = {NATIVE: Audience()}
        self.joining: dict[Member, JoinBuffer] = {}
        #: Members who are away and may come back to what was said meanwhile.
        self.absent = 0
        #: True while something waits for the flush.
        self.pending = False
        self._talks = talks
        self._keep = keep

    def __contains__(self, member: Member) -> bool:
        audience = self.audiences.get(member.wire.codec)
        return audience is not None and member in audience.members

    @property
    def ephemeral(self) -> bool:
        """Whether nothing of it is stored."""
        return self.gate is None

    @property
    def last_seq(self) -> int:
        """Seq of the newest message that its members have heard."""
        return (self.gate.last or 0) if self.gate is not None else 0

    @property
    def empty(self) -> bool:
        """Whether it can be forgotten: nobody is in it here, coming, expected back, or still to be told as leaving."""
        return not (
            self.joining
            or self.absent
            or self.roster.is_used
            or any(audience.members for audience in self.audiences.values())
        )

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
        audience.members[member] = 0

    def remove(self, member: Member) -> None:
        """Let `member`, who is in the room, hear no more."""
        del self.audiences[member.wire.codec].members[member]

    def replace(self, old: Member, new: Member) -> None:
        """Put `new`, who speaks the same codec, in the place of `old`."""
        members = self.audiences[old.wire.codec].members
        members[new] = members.pop(old)

    def note_roster_sent(self, member: Member) -> None:
        """Take note that `member`, who is in the room, has the roster's newest list."""
        codec = member.wire.codec
        self.audiences[codec].members[member] = self.roster.list_for(codec).version

    def has_current_roster(self, member: Member) -> bool:
        """Tell whether `member` has the roster's newest list."""
        codec = member.wire.codec
        return self.audiences[codec].members.get(member) == self.roster.list_for(codec).version

    def deliver(self, envelope: Envelope) -> None:
        """Take a stored message, whoever brought it: it is said when its turn comes."""
        assert self.gate is not None
        self.broadcast_all(self.gate.take(envelope))

    def deliver_all(self, envelopes: Iterable[Envelope]) -> None:
        """Take several of them."""
        for envelope in envelopes:
            self.deliver(envelope)

    def broadcast_all(self, envelopes: Iterable[Envelope]) -> None:
        """Say what the gate has let through."""
        for envelope in envelopes:
            self.broadcast(envelope)

    def broadcast(self, envelope: Envelope) -> None:
        """Queue one message for every member, the sender too."""
        if not self.pending:
            self.pending = True
            self._talks(self)
        for codec, audience in self.audiences.items():
            if audience.members or codec.recoverable:
                audience.pending.append(codec.draft(envelope))
        for newcomer in self.joining.values():
            if len(newcomer.messages) < self._keep:
                newcomer.messages.append(envelope)
            else:
                newcomer.overflowed = True

    def flush(self, stats: Stats) -> None:
        """Send what was said since the last flush: the same bytes to everyone of a codec, one write each."""
        self.pending = False
        for codec, audience in self.audiences.items():
            pending = audience.pending
            if not pending:
                continue
            audience.pending = []
            data = codec.seal(pending)
            stats.flushes.observe(len(data))
            write_all(audience.members, data, stats, len(pending))


def write_all(
    members: dict[Member, int] | list[Member], data: bytes, stats: Stats, messages: int = 1
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
        client.keep_unsent(data, sent)
    for client in dead:
        client.drop()
