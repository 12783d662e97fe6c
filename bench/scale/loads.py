"""The shapes of load: who is connected where, in which rooms, and how much is said."""

import itertools
import random
from collections import Counter
from dataclasses import dataclass, replace
from typing import NamedTuple

from bench.scale.costs import ASSUMED, IO_FRAME_BYTES, IO_SHARE, MEASURED, Costs, Hardware


@dataclass(frozen=True)
class Load:
    """One shape. `rates` are the messages a second for which it is looked at, `seconds` how long each time."""

    title: str
    connections: int
    machines: int
    rooms: int
    largest: int
    rates: tuple[float, ...]
    #: Size of the room of rank r is largest / r ** zipf, never below `smallest`.
    zipf: float = 0.0
    smallest: int = 2
    #: True: what is said in a room is in proportion to its members; False: all rooms speak alike.
    talk_by_size: bool = True
    ephemeral: bool = False
    #: Messages go to one user each, on users' channels: to the receiver's, and to the sender's other sockets'.
    direct: bool = False
    #: One message every 1 / rate seconds, as the bench's `paced` sends; else at random moments (Poisson).
    even: bool = False
    #: Workers on which the senders are; 0: wherever the members are.
    publishers: int = 0
    stores: int = 1
    brokers: int = 1
    seconds: float = 2.0
    costs: Costs = MEASURED
    hardware: Hardware = ASSUMED

    @property
    def workers(self):
        return self.machines * self.hardware.workers

    def sizes(self):
        """Members of each room, the largest first."""
        return [
            max(self.smallest, round(self.largest / rank**self.zipf)) for rank in range(1, self.rooms + 1)
        ]


def over_socketio(load):
    """The same load of Socket.IO clients."""
    costs = replace(load.costs, send=load.costs.send * IO_SHARE, frame_bytes=IO_FRAME_BYTES)
    return replace(load, title=f"{load.title}, over Socket.IO", costs=costs)


class Seating:
    """Where the members of rooms are: {worker: members}, drawn once a room, the same for the same seed."""

    def __init__(self, load, seed):
        self._workers = load.workers
        self._sizes = load.sizes()
        self._seed = seed
        self._seats = {}

    def of(self, room):
        """The workers that have members of the room, with how many."""
        seats = self._seats.get(room)
        if seats is None:
            seats = self._seats[room] = seat(
                self._sizes[room], self._workers, random.Random(self._seed * 1_000_003 + room)
            )
        return seats


def seat(members, workers, dice):
    """{worker: members} of one room: each member anywhere; a crowd as evenly as it comes."""
    seats = {}
    if members > 8 * workers:
        each, rest = divmod(members, workers)
        return {worker: each + (worker < rest) for worker in range(workers)}
    for _ in range(members):
        worker = dice.randrange(workers)
        seats[worker] = seats.get(worker, 0) + 1
    return seats


class Crossing(NamedTuple):
    """Rooms that a worker has members of, and the workers that one of these rooms is on: means."""

    rooms: float
    hearers: float


def crossing(load):
    """How much the rooms cross the workers."""
    workers, seats, squares = load.workers, 0.0, 0.0
    for size, count in Counter(load.sizes()).items():
        on = workers * (1 - (1 - 1 / workers) ** size)
        seats += count * on
        squares += count * on * on
    # A worker finds a room in proportion to the workers that it is on.
    return Crossing(seats / workers, squares / seats)


def speakers(load, dice):
    """Endless rooms in which something is said."""
    weights = load.sizes() if load.talk_by_size else [1] * load.rooms
    cumulated = list(itertools.accumulate(weights))
    while True:
        yield from dice.choices(range(load.rooms), cum_weights=cumulated, k=1_000)


ROOMS = Load(
    "Many small rooms",
    connections=100_000,
    machines=3,
    rooms=30_000,
    largest=1_000,
    zipf=0.7,
    rates=(500, 2_000, 8_000, 16_000, 24_000),
    seconds=0.3,
)
REGION = replace(
    ROOMS,
    title="Ten times as many",
    connections=1_000_000,
    machines=16,
    rooms=300_000,
    rates=(2_000, 8_000, 16_000),
    seconds=0.2,
)
CROWD = Load(
    "A room of 10,000",
    connections=10_000,
    machines=1,
    rooms=1,
    largest=10_000,
    rates=(1, 10, 50, 100, 200, 400, 800),
)
MILLION = Load(
    "A room of a million",
    connections=1_000_000,
    machines=16,
    rooms=1,
    largest=1_000_000,
    rates=(1, 5, 10, 20, 50, 100),
)
BUSY = Load(
    "One busy room",
    connections=1_000,
    machines=3,
    rooms=1,
    largest=1_000,
    rates=(100, 500, 1_000, 2_000, 4_000),
    seconds=1.0,
)
QUOTES = Load(
    "Quotes",
    connections=100_000,
    machines=3,
    rooms=1_000,
    largest=2_000,
    talk_by_size=False,
    ephemeral=True,
    publishers=1,
    rates=(100, 500, 1_000, 1_500, 2_000),
    seconds=1.0,
)
DIRECT = Load(
    "One to one",
    connections=100_000,
    machines=3,
    rooms=50_000,
    largest=2,
    direct=True,
    rates=(500, 2_000, 8_000, 24_000),
    seconds=0.3,
)
LOADS = {
    "rooms": ROOMS,
    "region": REGION,
    "crowd": CROWD,
    "crowd-io": over_socketio(CROWD),
    "million": MILLION,
    "busy": BUSY,
    "quotes": QUOTES,
    "direct": DIRECT,
}
#: The bench's `paced`, which was measured: 500 clients of one worker, 100 messages a second, nothing stored.
PACED = Load(
    "paced",
    500,
    1,
    1,
    500,
    (100,),
    even=True,
    ephemeral=True,
    seconds=5.0,
    hardware=replace(ASSUMED, workers=1),
)
