"""The seq gate: stored messages pass in the order of seq and once, in whatever order they arrive."""

from __future__ import annotations

from collections.abc import Iterable

from ..wire.envelope import Envelope


class SeqGate:
    """Lets the messages of one room or conversation through in order. In the loop.

    `last` is the seq of the newest message that passed. While it is None, all messages wait for `open`.
    """

    __slots__ = ("last", "_early")

    def __init__(self, last: int | None) -> None:
        self.last = last
        self._early: dict[int, Envelope] = {}

    @property
    def missing(self) -> range:
        """The seqs for which a later message waits; empty where none waits."""
        if not self._early or self.last is None:
            return range(0)
        return range(self.last + 1, min(self._early))

    def take(self, envelope: Envelope) -> Iterable[Envelope]:
        """Return the messages that pass now: none, `envelope`, or `envelope` and those that waited for it."""
        seq = envelope.seq
        assert seq is not None
        if self.last is None or seq > self.last + 1:
            self._early[seq] = envelope
            return ()
        if seq <= self.last:
            return ()
        self.last = seq
        if not self._early:
            return (envelope,)
        return [envelope, *self._follow()]

    def open(self, last: int) -> Iterable[Envelope]:
        """Begin after seq `last`, and return the waiting messages that pass now."""
        self.last = last
        self._early = {seq: envelope for seq, envelope in self._early.items() if seq > last}
        return list(self._follow())

    def _follow(self) -> Iterable[Envelope]:
        while self._early and self.last is not None:
            envelope = self._early.pop(self.last + 1, None)
            if envelope is None:
                return
            self.last += 1
            yield envelope


class Conversations:
    """The gates of direct conversations, created with the first message and dropped after a time without messages.

    What peers store in a conversation is found by comparing with the store since a mark. A conversation without a gate
    had no message here since that mark, so all its messages since then are new. `rotate` is called from time to time,
    at intervals longer than the age of any mark.
    """

    def __init__(self) -> None:
        self._gates: dict[str, SeqGate] = {}
        self._older: dict[str, SeqGate] = {}

    def __len__(self) -> int:
        return len(self._gates) + len(self._older)

    def get(self, name: str) -> SeqGate | None:
        """Return the gate of a conversation with recent messages."""
        gate = self._gates.get(name)
        if gate is None:
            gate = self._older.pop(name, None)
            if gate is not None:
                self._gates[name] = gate
        return gate

    def get_or_create(self, name: str, last: int | None) -> SeqGate:
        """Return the gate of a conversation; a new one begins after seq `last`, or is closed where that is None."""
        gate = self.get(name)
        if gate is None:
            gate = self._gates[name] = SeqGate(last)
        return gate

    def rotate(self) -> None:
        """Drop the gates that were not used since the last call, unless messages wait in them."""
        kept = {name: gate for name, gate in self._older.items() if gate.missing}
        self._older = self._gates | kept
        self._gates = {}
