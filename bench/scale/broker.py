"""A Redis of the simulation. It too works in turns: what came meanwhile is read, copied and written in one go."""

from typing import NamedTuple

from bench.scale.parts import Meter

MICRO = 1e-6
#: Commands of one connection in one turn: Redis reads 16 KB at a time (PROTO_IOBUF_LEN), here of versions of rooms.
TURN = 250


class Hint(NamedTuple):
    """One PUBLISH: who listens, KB, and what is called with each listener when it has arrived there."""

    listeners: tuple
    kilobytes: float
    arrive: object


class Broker(Meter):
    """One core that takes all that has come, from however many connections, as one turn."""

    def __init__(self, end, clock, costs, hop):
        super().__init__(end)
        self._clock = clock
        self._costs = costs
        self._hop = hop
        self._inbox = []
        self._working = False

    def put(self, hints):
        """Take the hints that one connection has sent at once."""
        self._inbox.append(hints)
        if not self._working:
            self._turn()

    def _turn(self):
        self._working = bool(self._inbox)
        if not self._working:
            return
        inbox, self._inbox = self._inbox, []
        hints = [hint for sent in inbox for hint in sent]
        now = self._clock.now
        end = now + turn_us(self._costs, len(inbox), hints) * MICRO
        self.count(now, end)
        for hint in hints:
            for listener in hint.listeners:
                self._clock.at(end + self._hop, hint.arrive, listener)
        self._clock.at(end, self._turn)


def turn_us(costs, publishers, hints):
    """Processor time of one turn."""
    copies = sum(len(hint.listeners) * (costs.copy + costs.copy_kb * hint.kilobytes) for hint in hints)
    written = len({listener for hint in hints for listener in hint.listeners})
    return publishers * costs.published + len(hints) * costs.hint + copies + written * costs.written
