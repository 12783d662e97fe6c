"""The simulated site: workers on machines, brokers, store shards; messages from their senders to all who hear them."""

import math
import random
from collections import Counter
from itertools import islice
from typing import NamedTuple

from bench.scale.broker import TURN, Broker, Hint
from bench.scale.costs import wire_bytes
from bench.scale.loads import Seating, crossing, speakers
from bench.scale.parts import Clock, Disk, Line, Locks
from bench.scale.worker import HINT, LOOK, MICRO, READ, STORED, SWEEP, Worker

#: Clients that the sweeper looks at in one go, and seconds between two heartbeats of one: CHAT_PING_INTERVAL.
SLICE, PING = 1_000, 25
#: Seconds between two heartbeats of a worker (CHAT_WORKER_LEASE / chat.cluster.heartbeat.BEATS_PER_LEASE), and rooms
#: whose versions each of them repeats (chat.cluster.presence_publisher.MAX_VERSIONS).
HEARTBEAT, TOLD = 15.0 / 6, 500
#: Seconds before which no latency is counted, and messages that a run has at the least.
WARM, LEAST = 0.2, 40


class Message(NamedTuple):
    room: int
    sent: float
    number: int


class Shard:
    """One database: its cores, its disk, its rooms' locks."""

    def __init__(self, clock, end, load):
        self.cores = Line(end, load.hardware.store_cores)
        self.disk = Disk(end, clock, load.costs.flush * MICRO)
        self.locks = Locks(end, clock)
        self.commits = 0


class Site:
    """One load at one rate. `run()` plays it; then `samples`, `heard` and the parts' `busy` say what happened."""

    def __init__(self, load, rate, seed=1):
        self.load, self.rate = load, rate
        self.clock = Clock()
        #: Seconds in which messages are sent.
        self.length = WARM + max(load.seconds, LEAST / rate)
        self._dice = random.Random(seed)
        self._seating = Seating(load, seed)
        self.workers = [Worker(number, self) for number in range(load.workers)]
        self.cards = [Line(self.length) for _ in range(load.machines)]
        hop = load.hardware.hop
        self.brokers = [Broker(self.length, self.clock, load.costs, hop) for _ in range(load.brokers)]
        self._crossing = crossing(load)
        self.shards = [Shard(self.clock, self.length, load) for _ in range(load.stores)]
        #: Rooms of each shard that change in a second.
        self._changing = Counter(
            map(self.shard, set(islice(speakers(load, random.Random(seed)), round(rate))))
        )
        #: (when it was sent, seconds until it was heard, how many heard it so), {message's number: how many heard it}.
        self.samples = []
        self.heard = Counter()
        self.sent = 0

    def run(self):
        """Play it to the end: until all that was said has been heard."""
        self._schedule_messages()
        self._schedule_upkeep()
        self.clock.run()
        return self

    # ---- what happens by itself ------------------------------------------------------------------------------------

    def _schedule_messages(self):
        when, rooms = 0.0, speakers(self.load, self._dice)
        while (when := when + self._pause()) < self.length:
            message = Message(next(rooms), when, self.sent)
            self.sent += 1
            self.clock.at(when, self._speaker(message.room).put, READ, message)

    def _pause(self):
        return 1 / self.rate if self.load.even else self._dice.expovariate(self.rate)

    def _speaker(self, room):
        """The worker that the sender is connected to."""
        if self.load.publishers:
            return self.workers[self._dice.randrange(self.load.publishers)]
        seats = self._seating.of(room)
        return self.workers[self._dice.choices(list(seats), list(seats.values()))[0]]

    def _schedule_upkeep(self):
        load, dice = self.load, self._dice
        clients = load.connections / load.workers
        slices = math.ceil(clients / SLICE)
        swept = (load.costs.idle + load.costs.beat / PING) * clients / slices
        for worker in self.workers:
            when = dice.random() * HEARTBEAT
            while when < self.length:
                self.clock.at(when, self._beat, worker.number)
                when += HEARTBEAT
        for second in range(math.ceil(self.length)):
            for worker in self.workers:
                self.clock.at(second + dice.random(), self._look, worker)
                for _ in range(slices):
                    self.clock.at(second + dice.random(), worker.put, SWEEP, swept)

    def _look(self, worker):
        """Ask each shard which rooms have changed in the last second."""
        if self.load.ephemeral:
            return
        for number, shard in enumerate(self.shards):
            rows = self._changing[number]
            cost = self.load.costs.look + self.load.costs.look_row * rows
            shard.cores.serve(self.clock.now, cost * MICRO)
            worker.put(LOOK, rows)

    def _beat(self, origin):
        """Tell everybody that it lives, and the others of each room the room's version."""
        everybody = Hint(tuple(range(len(self.workers))), 0.0, self._notice)
        self._send_hints(0, [everybody])
        rooms = min(TOLD, round(self._crossing.rooms))
        per_broker = rooms / len(self.brokers)
        for number in range(len(self.brokers)):
            for begin in range(0, round(per_broker), TURN):
                some = min(TURN, round(per_broker) - begin)
                self._send_hints(number, [self._version() for _ in range(some)])

    def _version(self):
        """The version of some room: any workers, as many as share a room on average."""
        hearers = self._crossing.hearers
        count = int(hearers) + (self._dice.random() < hearers % 1)
        return Hint(tuple(self._dice.sample(range(len(self.workers)), count)), 0.0, self._notice)

    def _notice(self, worker):
        self.workers[worker].put(SWEEP, self.load.costs.worker_hint)

    def _send_hints(self, broker, hints):
        self.clock.at(self.clock.now + self.load.hardware.hop, self.brokers[broker].put, hints)

    # ---- what workers ask for ---------------------------------------------------------------------------------------

    def hearers(self, room):
        """{worker: members} of those who hear what is said in a room."""
        return self._seating.of(room)

    @property
    def channels(self):
        """Channels that a batch of one room is published on: of a conversation, those of both users."""
        return 2 if self.load.direct else 1

    def shard(self, room):
        return room % len(self.shards)

    def publish(self, origin, batches):
        """Hand batches, each of one room, to all workers that listen to it, those of one broker in one go."""
        by_broker = {}
        for batch in batches:
            by_broker.setdefault(batch[0].room % len(self.brokers), []).extend(self._hints(origin, batch))
        for broker, hints in by_broker.items():
            self._send_hints(broker, hints)

    def _hints(self, origin, batch):
        def arrive(worker):
            self.workers[worker].put(HINT, (origin, batch))

        listeners = sorted({*self._seating.of(batch[0].room), *([] if self.load.publishers else [origin])})
        kilobytes = self.load.costs.hint_bytes * len(batch) / 1_000
        # Of a conversation, each channel has its user's workers for listeners: together those of both.
        parts = [tuple(listeners[number :: self.channels]) for number in range(self.channels)]
        return [Hint(part, kilobytes, arrive) for part in parts]

    def store(self, shard, worker, batch):
        """Commit a batch: lock its rooms in order, write, have the disk confirm, release, answer."""
        rooms = sorted({message.room for message in batch})
        hop = self.load.hardware.hop
        self.clock.at(
            self.clock.now + hop,
            self.shards[shard].locks.take,
            rooms,
            self._write,
            shard,
            worker,
            batch,
            rooms,
        )

    def _write(self, shard, worker, batch, rooms):
        costs, now = self.load.costs, self.clock.now
        done = self.shards[shard].cores.serve(now, (costs.commit + costs.stored * len(batch)) * MICRO)
        # The rooms are locked in the first round trip and written in the second.
        end = done + 2 * self.load.hardware.hop
        self.clock.at(end, self.shards[shard].disk.write, self._kept, shard, worker, batch, rooms)

    def _kept(self, shard, worker, batch, rooms):
        at = self.shards[shard]
        at.commits += 1
        at.locks.give(rooms)
        answer = self.clock.now + self.load.hardware.hop
        self.clock.at(answer, self.workers[worker].put, STORED, (shard, batch))

    def deliver(self, worker, members, messages, begin, end):
        """Note that a worker writes to its members between two moments; its machine's card sends behind it."""
        size = members * wire_bytes(self.load.costs.frame_bytes * len(messages))
        machine = worker // self.load.hardware.workers
        self.clock.at(begin, self._send, self.cards[machine], size, members, messages, end)

    def _send(self, card, size, members, messages, end):
        gone = card.serve(self.clock.now, size / self.load.hardware.nic)
        end = max(end, gone)
        begin = self.clock.now
        for message in messages:
            self.heard[message.number] += members
            if message.sent >= WARM:
                at = begin + self._dice.random() * (end - begin)
                self.samples.append((message.sent, at - message.sent, members))
