"""What a load waits for: a line in front of servers, a room's lock, a disk that many transactions share."""

import heapq
import itertools
from collections import deque


class Clock:
    """The time of a simulation, and what is to happen when."""

    def __init__(self):
        self.now = 0.0
        self._events = []
        self._order = itertools.count()

    def at(self, when, function, *arguments):
        """Call the function then; what is due at one moment happens in the order in which it was asked for."""
        heapq.heappush(self._events, (when, next(self._order), function, arguments))

    def run(self):
        """Let everything happen."""
        events = self._events
        while events:
            self.now, _, function, arguments = heapq.heappop(events)
            function(*arguments)


class Meter:
    """Seconds in which something was at work, counted until `end`."""

    def __init__(self, end):
        self._end = end
        self.busy = 0.0

    def count(self, begin, end):
        self.busy += max(0.0, min(end, self._end) - begin)


class Line(Meter):
    """First come, first served, by so many servers: Redis has one, a store one a core, a network card one."""

    def __init__(self, end, servers=1):
        super().__init__(end)
        self._free = [0.0] * servers

    def serve(self, now, seconds):
        """When a job is done that comes now; jobs have to come in order of time."""
        begin = max(now, heapq.heappop(self._free))
        heapq.heappush(self._free, begin + seconds)
        self.count(begin, begin + seconds)
        return begin + seconds


class Disk(Meter):
    """Confirms writes: those that come while it is at work share the next turn (group commit)."""

    def __init__(self, end, clock, seconds):
        super().__init__(end)
        self._clock = clock
        self._seconds = seconds
        self._waiting = []
        self._working = False

    def write(self, done, *arguments):
        """Call `done` when what came now is kept."""
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
    """One lock a room, given in the order of asking."""

    def __init__(self, end, clock):
        self._end = end
        self._clock = clock
        self._waiting = {}
        self._since = {}
        #: {room: how long it was held}
        self.held = {}

    def take(self, rooms, then, *arguments):
        """Call `then` as soon as all of these rooms are ours: asked for one after the other, in the order given."""
        for place, room in enumerate(rooms):
            if room in self._waiting:
                self._waiting[room].append((rooms[place:], then, arguments))
                return
            self._waiting[room] = deque()
            self._since[room] = self._clock.now
        then(*arguments)

    def give(self, rooms):
        """Release them; who waits for one goes on from there."""
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
