"""A simulated worker: each tick handles everything in its inbox, then flushes the rooms with pending messages."""

from bench.scale.parts import Meter

#: The kinds of entries in a worker's inbox.
READ, COMMIT, STORED, BUS_MESSAGE, CHECK, UPKEEP = range(6)
#: The most messages of one transaction: chat.rooms.group_commit.MAX_BATCH.
MAX_BATCH = 1_000
MICRO = 1e-6


class Worker(Meter):
    """One core. A tick handles the whole inbox: the more is waiting, the more frames a write carries."""

    def __init__(self, number, site):
        super().__init__(site.length)
        self.number = number
        self._site = site
        self._costs = site.load.costs
        self._inbox = []
        self._ticking = False
        #: {store shard: messages waiting for a commit}, and the shards with a commit in progress.
        self._waiting = {}
        self._committing = set()

    def put(self, kind, load):
        """Add an entry to the inbox, for the next tick."""
        self._inbox.append((kind, load))
        if not self._ticking:
            self._tick()

    # ---- a tick --------------------------------------------------------------------------------------------------

    def _tick(self):
        self._ticking = True
        inbox, self._inbox = self._inbox, []
        outgoing, bus_messages, commits, cost_us = {}, [], [], 0.0
        for kind, load in inbox:
            cost_us += self._do(kind, load, outgoing, bus_messages, commits)
        if bus_messages:
            channels = len(bus_messages) * self._site.channels
            cost_us += self._costs.worker_publish + self._costs.worker_publish_each * channels
        begin = self._site.clock.now + cost_us * MICRO
        end = self._flush(outgoing, begin)
        self.count(self._site.clock.now, end)
        # Bus messages and commits leave before the flush, which the loop does last.
        if bus_messages:
            self._site.clock.at(begin, self._site.publish, self.number, bus_messages)
        for shard, batch in commits:
            self._site.clock.at(begin, self._site.store, shard, self.number, batch)
        self._site.clock.at(end, self._rest)

    def _rest(self):
        self._ticking = False
        if self._inbox:
            self._tick()

    def _do(self, kind, load, outgoing, bus_messages, commits):
        """Handle one entry; return its cost in µs without flush and bus messages."""
        costs = self._costs
        if kind == READ:
            if self._site.load.ephemeral:
                self._queue_delivery(load.room, [load], outgoing)
                bus_messages.append([load])
            else:
                self._queue(load)
            return costs.ingest
        if kind == BUS_MESSAGE:
            origin, messages = load
            if origin == self.number:  # its own echo, which the seq gate drops
                return costs.worker_bus_message
            self._queue_delivery(messages[0].room, messages, outgoing)
            return costs.worker_bus_message + costs.worker_bus_entry * len(messages)
        if kind == COMMIT:
            batch, self._waiting[load] = self._waiting[load][:MAX_BATCH], self._waiting[load][MAX_BATCH:]
            commits.append((load, batch))
            return costs.worker_commit + costs.worker_stored * len(batch)
        if kind == STORED:
            shard, messages = load
            for batch in by_room(messages):
                self._queue_delivery(batch[0].room, batch, outgoing)
                bus_messages.append(batch)
            self._committing.discard(shard)
            self._next(shard)
            return 0.0
        if kind == CHECK:
            return costs.worker_check + costs.worker_check_row * load
        return load  # a slice of the sweeper's pass

    def _queue(self, message):
        shard = self._site.shard(message.room)
        self._waiting.setdefault(shard, []).append(message)
        self._next(shard)

    def _next(self, shard):
        if self._waiting.get(shard) and shard not in self._committing:
            self._committing.add(shard)
            self._inbox.append((COMMIT, shard))

    def _queue_delivery(self, room, messages, outgoing):
        if self.number in self._site.workers_reached(room):
            outgoing.setdefault(room, []).extend(messages)

    def _flush(self, outgoing, begin):
        """Write all messages of each room to each member with one write; return when the last write is done."""
        costs, site = self._costs, self._site
        for room, messages in outgoing.items():
            members = site.workers_reached(room)[self.number]
            end = begin + members * (costs.send + costs.frame * len(messages)) * MICRO
            site.deliver(self.number, members, messages, begin, end)
            begin = end
        return begin


def by_room(messages):
    """Return the messages as one list per room, in their order."""
    rooms = {}
    for message in messages:
        rooms.setdefault(message.room, []).append(message)
    return rooms.values()
