"""The resources of the simulation: queues in front of servers, room locks, and a disk that transactions share."""

import heapq
import itertools
from collections import deque


class Clock:
    """The simulated time, and the scheduled events."""

    def __init__(self):
        self.now = 0.0
        self._events = []
        self._order = itertools.count()

    def at(self, when, function, *arguments):
        """Schedule a call; calls at the same time happen in the order of scheduling."""
        heapq.heappush(self._events, (when, next(self._order), function, arguments))

    def run(self):
        """Run all events."""
        events = self._events
        while events:
            self.now, _, function, arguments = heapq.heappop(events)
            function(*arguments)


class Meter:
    """Counts the seconds in which something was busy, until `end`."""

    def __init__(self, end):
        self._end = end
        self.busy = 0.0

    def count(self, begin, end):
        self.busy += max(0.0, min(end, self._end) - begin)


class Queue(Meter):
    """A first-come, first-served queue: one server for Redis or a network card, one per core for a store."""

    def __init__(self, end, servers=1):
        super().__init__(end)
        self._free = [0.0] * servers

    def serve(self, now, seconds):
        """Return when a job that arrives at `now` is done; jobs must arrive in order of time."""
        begin = max(now, heapq.heappop(self._free))
        heapq.heappush(self._free, begin + seconds)
        self.count(begin, begin + seconds)
        return begin + seconds


class Disk(Meter):
    """Confirms writes; those that arrive while it is busy share the next flush (group commit)."""

    def __init__(self, end, clock, seconds):
        super().__init__(end)
        self._clock = clock
        self._seconds = seconds
        self._waiting = []
        self._working = False

    def write(self, done, *arguments):
        """Call `done` when this write is on disk."""
        self._waiting.append((done, arguments))
        if not self._working:
            self._turn()

    def _turn(self):
        batch, self._waiting = self._waiting, []
        self._working = bool(batch)
        if batch:
            end = self._clock.now + self._seconds
            self.count(self._clock.now, end)
            self._clock.at(end, self._done, batch)

    def _done(self, batch):
        for done, arguments in batch:
            done(*arguments)
        self._turn()


class Locks:
    """One lock per room, granted in the order of requests."""

    def __init__(self, end, clock):
        self._end = end
        self._clock = clock
        self._waiting = {}
        self._since = {}
        #: {room: a Meter of how long it was held}
        self.held = {}

    def take(self, rooms, then, *arguments):
        """Lock the rooms one after the other, in the order given; call `then` when all are locked."""
        for place, room in enumerate(rooms):
            if room in self._waiting:
                self._waiting[room].append((rooms[place:], then, arguments))
                return
            self._waiting[room] = deque()
            self._since[room] = self._clock.now
        then(*arguments)

    def release(self, rooms):
        """Release the rooms, and let the next waiting request of each continue."""
        for room in rooms:
            now = self._clock.now
            self.held.setdefault(room, Meter(self._end)).count(self._since[room], now)
            waiting = self._waiting[room]
            if not waiting:
                del self._waiting[room], self._since[room]
                continue
            self._since[room] = now
            rest, then, arguments = waiting.popleft()
            self.take(rest[1:], then, *arguments)
