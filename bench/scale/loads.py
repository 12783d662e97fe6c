"""The loads: connections per worker, rooms and their members, and message rates."""

import itertools
import random
from collections import Counter
from dataclasses import dataclass, replace
from typing import NamedTuple

from bench.scale.costs import ASSUMED, IO_FRAME_BYTES, IO_SHARE, MEASURED, Costs, Hardware


@dataclass(frozen=True)
class Load:
    """One load. `rates` are the simulated rates in messages per second, each for `seconds`."""

    title: str
    connections: int
    machines: int
    rooms: int
    largest: int
    rates: tuple[float, ...]
    #: Size of the room of rank r is largest / r ** zipf, never below `smallest`.
    zipf: float = 0.0
    smallest: int = 2
    #: True: a room's messages are in proportion to its members; False: all rooms have the same rate.
    rate_by_size: bool = True
    ephemeral: bool = False
    #: Direct messages, on users' channels: the recipient's, and the sender's for its other sockets.
    direct: bool = False
    #: One message every 1 / rate seconds, as the bench's `paced` sends; else at random moments (Poisson).
    even: bool = False
    #: The number of workers with senders; 0: all workers with members.
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
    """Return the same load with Socket.IO clients."""
    costs = replace(load.costs, send=load.costs.send * IO_SHARE, frame_bytes=IO_FRAME_BYTES)
    return replace(load, title=f"{load.title}, over Socket.IO", costs=costs)


class Placement:
    """The workers of each room's members: {worker: members}, drawn once per room, and the same for the same seed."""

    def __init__(self, load, seed):
        self._workers = load.workers
        self._sizes = load.sizes()
        self._seed = seed
        self._placed = {}

    def of(self, room):
        """Return {worker: members} of the room."""
        placed = self._placed.get(room)
        if placed is None:
            placed = self._placed[room] = place_members(
                self._sizes[room], self._workers, random.Random(self._seed * 1_000_003 + room)
            )
        return placed


def place_members(members, workers, rng):
    """Return {worker: members} of one room: random for each member; even in a large room."""
    placed = {}
    if members > 8 * workers:
        each, rest = divmod(members, workers)
        return {worker: each + (worker < rest) for worker in range(workers)}
    for _ in range(members):
        worker = rng.randrange(workers)
        placed[worker] = placed.get(worker, 0) + 1
    return placed


class Crossing(NamedTuple):
    """Means: the rooms that a worker has members of, and the workers that such a room has members on."""

    rooms: float
    workers_reached: float


def crossing(load):
    """Return how the rooms are spread over the workers."""
    workers, placed, squares = load.workers, 0.0, 0.0
    for size, count in Counter(load.sizes()).items():
        on = workers * (1 - (1 - 1 / workers) ** size)
        placed += count * on
        squares += count * on * on
    # The probability that a worker has a room is proportional to the room's workers.
    return Crossing(placed / workers, squares / placed)


def rooms_of_messages(load, rng):
    """Yield the room of each message, endlessly."""
    weights = load.sizes() if load.rate_by_size else [1] * load.rooms
    cumulated = list(itertools.accumulate(weights))
    while True:
        yield from rng.choices(range(load.rooms), cum_weights=cumulated, k=1_000)


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
    rate_by_size=False,
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
