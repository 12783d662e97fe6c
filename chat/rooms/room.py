"""A room: its members on this worker, the messages that wait for the flush, and its seq gate."""

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
    """The members of a room that share a codec: each message is encoded once for all of them."""

    __slots__ = ("members", "pending")

    def __init__(self) -> None:
        #: Each member with the version of the roster's list that it was sent last.
        self.members: dict[Member, int] = {}
        #: Messages since the last flush, as drafts of the codec.
        self.pending: list[Any] = []


class JoinBuffer:
    """The messages of a room that wait for a joining client until it has been sent what it missed."""

    __slots__ = ("messages", "overflowed")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Discard what is buffered: the client is sent it in another way."""
        self.messages: list[Envelope] = []
        #: There were more messages than are kept: the client has to reload.
        self.overflowed = False


class Room:
    """One room on this worker. Only the loop uses it; its members and roster change under the hub's lock.

    `gate` is None in an ephemeral room, whose messages are not stored; `dedupe` recognises repeated ids there.
    `on_pending(room)` is called when the first message waits for the flush. Of each joining client, `keep` messages
    are buffered.
    """

    def __init__(
        self,
        name: str,
        roster: Roster,
        gate: SeqGate | None,
        on_pending: Callable[[Room], None],
        keep: int = 1_000,
    ) -> None:
        self.name = name
        self.roster = roster
        self.gate = gate
        self.dedupe = Dedupe() if gate is None else None
        #: Its id and epoch in the store.
        self.id = 0
        self.epoch = ""
        self.audiences: dict[Codec, Audience] = {NATIVE: Audience()}
        self.joining: dict[Member, JoinBuffer] = {}
        #: Disconnected clients whose sessions are kept for a resumption.
        self.absent = 0
        #: True while messages wait for the flush.
        self.pending = False
        self._on_pending = on_pending
        self._keep = keep

    def __contains__(self, member: Member) -> bool:
        audience = self.audiences.get(member.wire.codec)
        return audience is not None and member in audience.members

    @property
    def ephemeral(self) -> bool:
        """Whether its messages are not stored."""
        return self.gate is None

    @property
    def last_seq(self) -> int:
        """Seq of the newest message that was delivered to its members."""
        return (self.gate.last or 0) if self.gate is not None else 0

    @property
    def empty(self) -> bool:
        """Whether it can be closed: it has no members, joining or absent clients, nor users whose leaving is unsent."""
        return not (
            self.joining
            or self.absent
            or self.roster.is_used
            or any(audience.members for audience in self.audiences.values())
        )

    def members(self) -> Iterator[Member]:
        """Iterate over all members."""
        for audience in self.audiences.values():
            yield from audience.members

    def add(self, member: Member) -> None:
        """Deliver messages to `member` from now on."""
        codec = member.wire.codec
        audience = self.audiences.get(codec)
        if audience is None:
            audience = self.audiences[codec] = Audience()
        audience.members[member] = 0

    def remove(self, member: Member) -> None:
        """Stop delivering messages to `member`."""
        del self.audiences[member.wire.codec].members[member]

    def replace(self, old: Member, new: Member) -> None:
        """Put `new`, which has the same codec, in the place of `old`."""
        members = self.audiences[old.wire.codec].members
        members[new] = members.pop(old)

    def note_roster_sent(self, member: Member) -> None:
        """Note that `member` was sent the roster's newest list."""
        codec = member.wire.codec
        self.audiences[codec].members[member] = self.roster.list_for(codec).version

    def has_current_roster(self, member: Member) -> bool:
        """Tell whether `member` was sent the roster's newest list."""
        codec = member.wire.codec
        return self.audiences[codec].members.get(member) == self.roster.list_for(codec).version

    def deliver(self, envelope: Envelope) -> None:
        """Pass a stored message through the gate, and broadcast what the gate lets through."""
        assert self.gate is not None
        self.broadcast_all(self.gate.take(envelope))

    def deliver_all(self, envelopes: Iterable[Envelope]) -> None:
        """Deliver several stored messages."""
        for envelope in envelopes:
            self.deliver(envelope)

    def broadcast_all(self, envelopes: Iterable[Envelope]) -> None:
        """Broadcast what the gate has let through."""
        for envelope in envelopes:
            self.broadcast(envelope)

    def broadcast(self, envelope: Envelope) -> None:
        """Queue a message for every member, the sender included."""
        if not self.pending:
            self.pending = True
            self._on_pending(self)
        for codec, audience in self.audiences.items():
            if audience.members or codec.recoverable:
                audience.pending.append(codec.draft(envelope))
        for buffer in self.joining.values():
            if len(buffer.messages) < self._keep:
                buffer.messages.append(envelope)
            else:
                buffer.overflowed = True

    def flush(self, stats: Stats) -> None:
        """Send the messages since the last flush: the same bytes to all members of a codec, one write each."""
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
    """Write `data`, which holds `messages` messages, once to each of `members`.

    A member that cannot take all of it keeps the rest; one whose connection has failed is dropped.
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
    # After the loop, because both may remove a client from `members`.
    for client, sent in behind:
        client.keep_unsent(data, sent)
    for client in dead:
        client.drop()
