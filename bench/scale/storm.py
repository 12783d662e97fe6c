"""The reconnect storm: many come to one machine at once, whose workers take them one after the other.

Between a client and a worker stands the listening socket's queue. Who finds it full is not answered, and asks again
when TCP does; who waits too long gives up and comes back after a backoff, and the work for it was for nothing.
"""

import random
from collections import deque
from typing import NamedTuple

from bench.scale.costs import ASSUMED, MEASURED
from bench.scale.parts import Clock, Line
from bench.scale.worker import MICRO

#: gunicorn.conf.py's `backlog`, and net.core.somaxconn where this was written.
BACKLOG = 4_096
#: chat/static/js, in seconds: CONNECT_TIMEOUT of connection.js, `base` and `cap` of LOST in close_codes.js.
PATIENCE, BASE, CAP = 15.0, 0.6, 30.0
#: Seconds after which TCP asks again (assumed: the first of RFC 6298, doubled each time).
SYN = 1.0


class Storm(NamedTuple):
    """Who comes to one machine. `spread`: the first attempt is anywhere within so many seconds."""

    title: str
    clients: int
    workers: int = ASSUMED.workers
    spread: float = BASE
    #: Other workers of the site, to whom as many come as to one of ours: ours are told of each.
    others: int = 7
    #: Of the workers' time, what the clients who are there already take.
    used: float = 0.3
    #: Rooms that each one joins beside the lobby, with a look for what it missed.
    joins: int = 0
    #: Entries of the lobby's list, which every newcomer is sent.
    roster: int = 0
    backlog: int = BACKLOG


class Course(NamedTuple):
    """How a storm went: seconds until half, 99 % and all were back, work for nothing, attempts a client."""

    naive: float
    work: float
    half: float
    most: float
    all: float
    wasted: int
    attempts: float


def service(storm):
    """Seconds of one worker for one client."""
    costs = MEASURED
    listed = costs.list_kb * storm.roster * costs.entry_bytes / 1_000
    told = storm.others * costs.elsewhere
    return (costs.connect + listed + told + storm.joins * costs.worker_replay) * MICRO / (1 - storm.used)


def naive(storm):
    """Seconds by the division that one does in one's head: clients by the connections/s that were measured."""
    return storm.clients * MEASURED.connect * MICRO / storm.workers


def work(storm):
    """Seconds for which the workers are busy with it, if nothing is done in vain."""
    return storm.clients * service(storm) / storm.workers


class Attempt:
    """One try of one client."""

    __slots__ = ("number", "since", "over")

    def __init__(self, number, since):
        self.number = number
        self.since = since
        #: Served, or given up.
        self.over = False


class Play:
    """One storm, played."""

    def __init__(self, storm, seed=1):
        self._storm = storm
        self._dice = random.Random(seed)
        self._clock = Clock()
        self._service = service(storm)
        self._free = storm.workers
        self._queue = deque()
        self._card = Line(float("inf"))
        #: When each client had its whole welcome.
        self.back = []
        self.attempts = self.wasted = 0

    def run(self):
        for _ in range(self._storm.clients):
            self._clock.at(self._dice.random() * self._storm.spread, self._try, 0)
        self._clock.run()
        return self

    def _try(self, number):
        self.attempts += 1
        self._ask(Attempt(number, self._clock.now), SYN)

    def _ask(self, attempt, again):
        """Come into the listening socket's queue, or find it full and ask again."""
        now, end = self._clock.now, attempt.since + PATIENCE
        if len(self._queue) < self._storm.backlog:
            # Who waits here is served in turn: only whom that takes too long needs to look at the clock.
            served = now + (len(self._queue) / self._storm.workers + 2) * self._service
            self._queue.append(attempt)
            self._take()
            if served >= end:
                self._clock.at(end, self._lose_patience, attempt)
        elif now + again < end:
            self._clock.at(now + again, self._ask, attempt, 2 * again)
        else:
            self._clock.at(end, self._lose_patience, attempt)

    def _lose_patience(self, attempt):
        if not attempt.over:
            attempt.over = True
            number = attempt.number + 1
            pause = self._dice.random() * min(CAP, BASE * 2**number)
            self._clock.at(self._clock.now + pause, self._try, number)

    def _take(self):
        if self._free and self._queue:
            self._free -= 1
            self._clock.at(self._clock.now + self._service, self._served, self._queue.popleft())

    def _served(self, attempt):
        self._free += 1
        self._take()
        if attempt.over:  # the worker learns that only now
            self.wasted += 1
        else:
            attempt.over = True
            listed = self._storm.roster * MEASURED.entry_bytes
            self.back.append(self._card.serve(self._clock.now, listed / ASSUMED.nic))


def course(storm, seed=1):
    """Play a storm and say how it went."""
    play = Play(storm, seed).run()
    back = sorted(play.back)
    at = [back[min(len(back) - 1, int(len(back) * share))] for share in (0.5, 0.99, 1.0)]
    return Course(naive(storm), work(storm), *at, play.wasted, play.attempts / storm.clients)


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
