"""The reconnect storm: many clients connect to one machine at once, and its workers accept them one after the other.

Clients wait in the listening socket's queue. If it is full, a connection request is not answered, and TCP repeats it. A
client that waits too long gives up and reconnects after a backoff; the work for its first attempt is lost.
"""

import random
from collections import deque
from typing import NamedTuple

from bench.scale.costs import ASSUMED, MEASURED
from bench.scale.parts import Clock, Queue
from bench.scale.worker import MICRO

#: gunicorn.conf.py's `backlog`, and net.core.somaxconn of the measured machine.
BACKLOG = 4_096
#: chat/static/js, in seconds: CONNECT_TIMEOUT of connection.js, `base` and `cap` of LOST in close_codes.js.
CONNECT_TIMEOUT, BASE, CAP = 15.0, 0.6, 30.0
#: Seconds after which TCP repeats a request (assumed: the first value of RFC 6298, doubled each time).
SYN = 1.0


class Storm(NamedTuple):
    """The clients that connect to one machine. Their first attempts are spread over `spread` seconds."""

    title: str
    clients: int
    workers: int = ASSUMED.workers
    spread: float = BASE
    #: The site's workers on other machines. They get as many clients each, and ours are informed of every one.
    others: int = 7
    #: The share of the workers' time that their connected clients take.
    used: float = 0.3
    #: The rooms that each client joins and resumes besides the lobby.
    joins: int = 0
    #: Entries of the lobby list that every connecting client is sent.
    roster: int = 0
    backlog: int = BACKLOG


class Course(NamedTuple):
    """A storm's course: seconds until half, 99 % and all are connected; late accepts; attempts per client."""

    by_division: float
    work: float
    half: float
    most: float
    all: float
    wasted: int
    attempts: float


def service(storm):
    """Return a worker's seconds for one client."""
    costs = MEASURED
    listed = costs.list_kb * storm.roster * costs.entry_bytes / 1_000
    told = storm.others * costs.elsewhere
    return (costs.connect + listed + told + storm.joins * costs.worker_replay) * MICRO / (1 - storm.used)


def by_division(storm):
    """Return the seconds by simple division: clients by measured connections/s."""
    return storm.clients * MEASURED.connect * MICRO / storm.workers


def work(storm):
    """Return the seconds for which the workers are busy if no work is lost."""
    return storm.clients * service(storm) / storm.workers


class Attempt:
    """One connection attempt of one client."""

    __slots__ = ("number", "since", "over")

    def __init__(self, number, since):
        self.number = number
        self.since = since
        #: Accepted or timed out.
        self.over = False


class Simulation:
    """Simulates one storm."""

    def __init__(self, storm, seed=1):
        self._storm = storm
        self._rng = random.Random(seed)
        self._clock = Clock()
        self._service = service(storm)
        self._free = storm.workers
        self._queue = deque()
        self._card = Queue(float("inf"))
        #: The times at which clients were connected and had received everything.
        self.connected = []
        self.attempts = self.wasted = 0

    def run(self):
        for _ in range(self._storm.clients):
            self._clock.at(self._rng.random() * self._storm.spread, self._try, 0)
        self._clock.run()
        return self

    def _try(self, number):
        self.attempts += 1
        self._enqueue(Attempt(number, self._clock.now), SYN)

    def _enqueue(self, attempt, again):
        """Enter the listening socket's queue, or repeat the request later if it is full."""
        now, end = self._clock.now, attempt.since + CONNECT_TIMEOUT
        if len(self._queue) < self._storm.backlog:
            # The queue is served in order, so only a client that may wait too long needs a timeout.
            served = now + (len(self._queue) / self._storm.workers + 2) * self._service
            self._queue.append(attempt)
            self._take()
            if served >= end:
                self._clock.at(end, self._time_out, attempt)
        elif now + again < end:
            self._clock.at(now + again, self._enqueue, attempt, 2 * again)
        else:
            self._clock.at(end, self._time_out, attempt)

    def _time_out(self, attempt):
        if not attempt.over:
            attempt.over = True
            number = attempt.number + 1
            pause = self._rng.random() * min(CAP, BASE * 2**number)
            self._clock.at(self._clock.now + pause, self._try, number)

    def _take(self):
        if self._free and self._queue:
            self._free -= 1
            self._clock.at(self._clock.now + self._service, self._served, self._queue.popleft())

    def _served(self, attempt):
        self._free += 1
        self._take()
        if attempt.over:  # the worker notices only now
            self.wasted += 1
        else:
            attempt.over = True
            listed = self._storm.roster * MEASURED.entry_bytes
            self.connected.append(self._card.serve(self._clock.now, listed / ASSUMED.nic))


def course(storm, seed=1):
    """Simulate a storm and return its course."""
    play = Simulation(storm, seed).run()
    times = sorted(play.connected)
    at = [times[min(len(times) - 1, int(len(times) * share))] for share in (0.5, 0.99, 1.0)]
    return Course(by_division(storm), work(storm), *at, play.wasted, play.attempts / storm.clients)


LARGE = 65_535
STORMS = (
    Storm("one machine of 2 is lost: 62,500 reconnect to the other", 62_500),
    Storm("… with a backlog of 65,535", 62_500, backlog=LARGE),
    Storm("… spread over 10 s", 62_500, spread=10.0),
    Storm("one machine of 16 is lost: 4,167 reconnect to each other one", 4_167, others=119),
    Storm("all 16 restart: 62,500 reconnect to each", 62_500, others=127, used=0.0),
    Storm("… with a backlog of 65,535", 62_500, others=127, used=0.0, backlog=LARGE),
    Storm("… spread over 15 s", 62_500, others=127, used=0.0, spread=15.0),
    Storm("… each also joins 3 rooms", 62_500, others=127, used=0.0, joins=3),
    Storm("… with a backlog of 65,535", 62_500, others=127, used=0.0, joins=3, backlog=LARGE),
    Storm("… spread over 30 s", 62_500, others=127, used=0.0, joins=3, spread=30.0),
    Storm("one machine of 2 is lost, each is sent a lobby list of 10,000", 62_500, roster=10_000),
    Storm("… a lobby list of 90,000", 62_500, roster=90_000),
)
