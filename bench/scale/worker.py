"""A worker of the simulation: it takes whatever has come, does it, then flushes each room that has something to say."""

from bench.scale.parts import Meter

#: What can wait in a worker's inbox.
READ, COMMIT, STORED, HINT, LOOK, SWEEP = range(6)
#: Messages of one transaction at the most: chat.rooms.group_commit.MAX_BATCH.
MAX_BATCH = 1_000
MICRO = 1e-6


class Worker(Meter):
    """One core. A tick takes the whole inbox: the more waits, the more frames a write carries."""

    def __init__(self, number, site):
        super().__init__(site.length)
        self.number = number
        self._site = site
        self._costs = site.load.costs
        self._inbox = []
        self._ticking = False
        #: {store shard: messages that wait for it}, and the shards that are at work for us.
        self._waiting = {}
        self._committing = set()

    def put(self, kind, load):
        """Have it do something at its next tick."""
        self._inbox.append((kind, load))
        if not self._ticking:
            self._tick()

    # ---- a tick --------------------------------------------------------------------------------------------------

    def _tick(self):
        self._ticking = True
        inbox, self._inbox = self._inbox, []
        said, hints, commits, took = {}, [], [], 0.0
        for kind, load in inbox:
            took += self._do(kind, load, said, hints, commits)
        if hints:
            channels = len(hints) * self._site.channels
            took += self._costs.worker_publish + self._costs.worker_hint_out * channels
        begin = self._site.clock.now + took * MICRO
        end = self._flush(said, begin)
        self.count(self._site.clock.now, end)
        # What goes to others leaves before the flush, which the loop does last.
        if hints:
            self._site.clock.at(begin, self._site.publish, self.number, hints)
        for shard, batch in commits:
            self._site.clock.at(begin, self._site.store, shard, self.number, batch)
        self._site.clock.at(end, self._rest)

    def _rest(self):
        self._ticking = False
        if self._inbox:
            self._tick()

    def _do(self, kind, load, said, hints, commits):
        """Do one thing; return its cost in µs without the flush and the hints."""
        costs = self._costs
        if kind == READ:
            if self._site.load.ephemeral:
                self._say(load.room, [load], said)
                hints.append([load])
            else:
                self._queue(load)
            return costs.ingest
        if kind == HINT:
            origin, messages = load
            if origin == self.number:  # its own echo, which the gate drops
                return costs.worker_hint
            self._say(messages[0].room, messages, said)
            return costs.worker_hint + costs.worker_hinted * len(messages)
        if kind == COMMIT:
            batch, self._waiting[load] = self._waiting[load][:MAX_BATCH], self._waiting[load][MAX_BATCH:]
            commits.append((load, batch))
            return costs.worker_commit + costs.worker_stored * len(batch)
        if kind == STORED:
            shard, messages = load
            for batch in by_room(messages):
                self._say(batch[0].room, batch, said)
                hints.append(batch)
            self._committing.discard(shard)
            self._next(shard)
            return 0.0
        if kind == LOOK:
            return costs.worker_look + costs.worker_look_row * load
        return load  # a slice of the sweeper's round

    def _queue(self, message):
        shard = self._site.shard(message.room)
        self._waiting.setdefault(shard, []).append(message)
        self._next(shard)

    def _next(self, shard):
        if self._waiting.get(shard) and shard not in self._committing:
            self._committing.add(shard)
            self._inbox.append((COMMIT, shard))

    def _say(self, room, messages, said):
        if self.number in self._site.hearers(room):
            said.setdefault(room, []).extend(messages)

    def _flush(self, said, begin):
        """One write to each member of each room with all that was said in it; return when the last one is done."""
        costs, site = self._costs, self._site
        for room, messages in said.items():
            members = site.hearers(room)[self.number]
            end = begin + members * (costs.send + costs.frame * len(messages)) * MICRO
            site.deliver(self.number, members, messages, begin, end)
            begin = end
        return begin


def by_room(messages):
    """The messages as lists, each of one room, in the order in which they came."""
    rooms = {}
    for message in messages:
        rooms.setdefault(message.room, []).append(message)
    return rooms.values()
