"""The seq gate: whoever brings a stored message, a room hears it in the order of seq, and once."""

from __future__ import annotations

from collections.abc import Iterable

from ..wire.envelope import Envelope


class SeqGate:
    """Lets the messages of one room through in order. In the loop.

    `last` is the seq of the newest that went through; None until it is known where to begin, which holds all back.
    """

    __slots__ = ("last", "_early")

    def __init__(self, last: int | None) -> None:
        self.last = last
        self._early: dict[int, Envelope] = {}

    @property
    def missing(self) -> range:
        """The seqs that keep something from going through; empty where nothing waits."""
        if not self._early or self.last is None:
            return range(0)
        return range(self.last + 1, min(self._early))

    def take(self, envelope: Envelope) -> Iterable[Envelope]:
        """Return what may be delivered now that `envelope` is here: nothing, it, or it and what waited for it."""
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
        """Begin after `last`; return what waits beyond it and may be delivered."""
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
    """The gates of direct conversations, made at their first message here and dropped when nothing is said in them.

    What other processes store in a conversation is found by looking for changes since a mark; a conversation without a
    gate has been silent here since that mark, so that all of it since then is news. `turn` is called from time to
    time, seldom enough that no mark is that old.
    """

    def __init__(self) -> None:
        self._gates: dict[str, SeqGate] = {}
        self._older: dict[str, SeqGate] = {}

    def __len__(self) -> int:
        return len(self._gates) + len(self._older)

    def get(self, name: str) -> SeqGate | None:
        """Return the gate of a conversation that has been heard lately."""
        gate = self._gates.get(name)
        if gate is None:
            gate = self._older.pop(name, None)
            if gate is not None:
                self._gates[name] = gate
        return gate

    def get_or_create(self, name: str, last: int | None) -> SeqGate:
        """Return the gate of a conversation; a new one begins after `last`, or holds back where that is None."""
        gate = self.get(name)
        if gate is None:
            gate = self._gates[name] = SeqGate(last)
        return gate

    def rotate(self) -> None:
        """Drop the gates that nobody asked for since the last turn and that hold nothing back."""
        kept = {name: gate for name, gate in self._older.items() if gate.missing}
        self._older = self._gates | kept
        self._gates = {}
