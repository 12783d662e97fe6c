"""A simulated Redis. It works in turns: everything that arrived meanwhile is read, copied and written at once."""

from typing import NamedTuple

from bench.scale.parts import Meter

MICRO = 1e-6
#: Commands of one connection in one turn: Redis reads 16 KB at once (PROTO_IOBUF_LEN), here of room versions.
TURN = 250


class BusMessage(NamedTuple):
    """One PUBLISH: the listening workers, its size, and the function called with each worker it arrives at."""

    listeners: tuple
    kilobytes: float
    arrive: object


class Broker(Meter):
    """One core that handles all messages that have arrived, from any number of connections, as one turn."""

    def __init__(self, end, clock, costs, hop):
        super().__init__(end)
        self._clock = clock
        self._costs = costs
        self._hop = hop
        self._inbox = []
        self._working = False

    def put(self, bus_messages):
        """Accept the messages that one connection has sent at once."""
        self._inbox.append(bus_messages)
        if not self._working:
            self._turn()

    def _turn(self):
        self._working = bool(self._inbox)
        if not self._working:
            return
        inbox, self._inbox = self._inbox, []
        bus_messages = [message for sent in inbox for message in sent]
        now = self._clock.now
        end = now + turn_us(self._costs, len(inbox), bus_messages) * MICRO
        self.count(now, end)
        for message in bus_messages:
            for listener in message.listeners:
                self._clock.at(end + self._hop, message.arrive, listener)
        self._clock.at(end, self._turn)


def turn_us(costs, publishers, bus_messages):
    """Return the processor time of one turn, in µs."""
    copies = sum(
        len(message.listeners) * (costs.copy + costs.copy_kb * message.kilobytes) for message in bus_messages
    )
    written = len({listener for message in bus_messages for listener in message.listeners})
    return (
        publishers * costs.published
        + len(bus_messages) * costs.bus_message
        + copies
        + written * costs.written
    )
