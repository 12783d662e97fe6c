"""The simulated site: workers on machines, brokers, store shards, and messages from senders to receivers."""

import math
import random
from collections import Counter
from itertools import islice
from typing import NamedTuple

from bench.scale.broker import TURN, Broker, BusMessage
from bench.scale.costs import wire_bytes
from bench.scale.loads import Placement, crossing, rooms_of_messages
from bench.scale.parts import Clock, Disk, Locks, Queue
from bench.scale.worker import BUS_MESSAGE, CHECK, MICRO, READ, STORED, UPKEEP, Worker

#: Clients in one slice of the sweeper, and seconds between two heartbeats of a client: CHAT_PING_INTERVAL.
SLICE, PING = 1_000, 25
#: Seconds between two heartbeats of a worker (CHAT_WORKER_LEASE / chat.cluster.heartbeat.BEATS_PER_LEASE), and rooms
#: whose versions each of them repeats (chat.cluster.presence_publisher.MAX_VERSIONS).
HEARTBEAT, MAX_VERSIONS = 15.0 / 6, 500
#: Seconds before latencies are counted, and the least messages of a run.
WARM_UP, MIN_MESSAGES = 0.2, 40


class Message(NamedTuple):
    room: int
    sent: float
    number: int


class Shard:
    """One database: its cores, its disk, and the locks of its rooms."""

    def __init__(self, clock, end, load):
        self.cores = Queue(end, load.hardware.store_cores)
        self.disk = Disk(end, clock, load.costs.flush * MICRO)
        self.locks = Locks(end, clock)
        self.commits = 0


class Site:
    """One load at one rate. After `run()`, `samples`, `delivered` and the parts' `busy` hold the outcome."""

    def __init__(self, load, rate, seed=1):
        self.load, self.rate = load, rate
        self.clock = Clock()
        #: Seconds in which messages are sent.
        self.length = WARM_UP + max(load.seconds, MIN_MESSAGES / rate)
        self._rng = random.Random(seed)
        self._placement = Placement(load, seed)
        self.workers = [Worker(number, self) for number in range(load.workers)]
        self.cards = [Queue(self.length) for _ in range(load.machines)]
        hop = load.hardware.hop
        self.brokers = [Broker(self.length, self.clock, load.costs, hop) for _ in range(load.brokers)]
        self._crossing = crossing(load)
        self.shards = [Shard(self.clock, self.length, load) for _ in range(load.stores)]
        #: Rooms of each shard that change in a second.
        self._changing = Counter(
            map(self.shard, set(islice(rooms_of_messages(load, random.Random(seed)), round(rate))))
        )
        #: (time sent, seconds until delivery, receivers), and {message number: receivers}.
        self.samples = []
        self.delivered = Counter()
        self.sent = 0

    def run(self):
        """Run until all messages are delivered."""
        self._schedule_messages()
        self._schedule_upkeep()
        self.clock.run()
        return self

    # ---- scheduled events --------------------------------------------------------------------------------------------

    def _schedule_messages(self):
        when, rooms = 0.0, rooms_of_messages(self.load, self._rng)
        while (when := when + self._pause()) < self.length:
            message = Message(next(rooms), when, self.sent)
            self.sent += 1
            self.clock.at(when, self._sender_worker(message.room).put, READ, message)

    def _pause(self):
        return 1 / self.rate if self.load.even else self._rng.expovariate(self.rate)

    def _sender_worker(self, room):
        """Return the worker that the sender is connected to."""
        if self.load.publishers:
            return self.workers[self._rng.randrange(self.load.publishers)]
        placed = self._placement.of(room)
        return self.workers[self._rng.choices(list(placed), list(placed.values()))[0]]

    def _schedule_upkeep(self):
        load, rng = self.load, self._rng
        clients = load.connections / load.workers
        slices = math.ceil(clients / SLICE)
        swept = (load.costs.idle + load.costs.beat / PING) * clients / slices
        for worker in self.workers:
            when = rng.random() * HEARTBEAT
            while when < self.length:
                self.clock.at(when, self._beat, worker.number)
                when += HEARTBEAT
        for second in range(math.ceil(self.length)):
            for worker in self.workers:
                self.clock.at(second + rng.random(), self._check_store, worker)
                for _ in range(slices):
                    self.clock.at(second + rng.random(), worker.put, UPKEEP, swept)

    def _check_store(self, worker):
        """Ask each shard which rooms have changed in the last second."""
        if self.load.ephemeral:
            return
        for number, shard in enumerate(self.shards):
            rows = self._changing[number]
            cost = self.load.costs.store_check + self.load.costs.check_row * rows
            shard.cores.serve(self.clock.now, cost * MICRO)
            worker.put(CHECK, rows)

    def _beat(self, origin):
        """Publish a heartbeat to all workers, and each room's version to the workers of that room."""
        alive = BusMessage(tuple(range(len(self.workers))), 0.0, self._notice)
        self._send_bus_messages(0, [alive])
        rooms = min(MAX_VERSIONS, round(self._crossing.rooms))
        per_broker = rooms / len(self.brokers)
        for number in range(len(self.brokers)):
            for begin in range(0, round(per_broker), TURN):
                some = min(TURN, round(per_broker) - begin)
                self._send_bus_messages(number, [self._version() for _ in range(some)])

    def _version(self):
        """Return the bus message with the version of a room, to as many random workers as share a room on average."""
        workers_reached = self._crossing.workers_reached
        count = int(workers_reached) + (self._rng.random() < workers_reached % 1)
        return BusMessage(tuple(self._rng.sample(range(len(self.workers)), count)), 0.0, self._notice)

    def _notice(self, worker):
        self.workers[worker].put(UPKEEP, self.load.costs.worker_bus_message)

    def _send_bus_messages(self, broker, bus_messages):
        self.clock.at(self.clock.now + self.load.hardware.hop, self.brokers[broker].put, bus_messages)

    # ---- called by workers -------------------------------------------------------------------------------------------

    def workers_reached(self, room):
        """Return {worker: members} of a room."""
        return self._placement.of(room)

    @property
    def channels(self):
        """The channels of a batch: one for a room, both users' channels for a direct conversation."""
        return 2 if self.load.direct else 1

    def shard(self, room):
        return room % len(self.shards)

    def publish(self, origin, batches):
        """Publish batches, each of one room, to the subscribed workers; messages of one broker are sent at once."""
        by_broker = {}
        for batch in batches:
            by_broker.setdefault(batch[0].room % len(self.brokers), []).extend(
                self._bus_messages(origin, batch)
            )
        for broker, bus_messages in by_broker.items():
            self._send_bus_messages(broker, bus_messages)

    def _bus_messages(self, origin, batch):
        def arrive(worker):
            self.workers[worker].put(BUS_MESSAGE, (origin, batch))

        listeners = sorted({*self._placement.of(batch[0].room), *([] if self.load.publishers else [origin])})
        kilobytes = self.load.costs.bus_message_bytes * len(batch) / 1_000
        # In a direct conversation, the workers of either user subscribe to that user's channel.
        parts = [tuple(listeners[number :: self.channels]) for number in range(self.channels)]
        return [BusMessage(part, kilobytes, arrive) for part in parts]

    def store(self, shard, worker, batch):
        """Commit a batch: lock its rooms in order, write, flush, release the locks, answer."""
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
        self.clock.at(end, self.shards[shard].disk.write, self._written, shard, worker, batch, rooms)

    def _written(self, shard, worker, batch, rooms):
        at = self.shards[shard]
        at.commits += 1
        at.locks.release(rooms)
        answer = self.clock.now + self.load.hardware.hop
        self.clock.at(answer, self.workers[worker].put, STORED, (shard, batch))

    def deliver(self, worker, members, messages, begin, end):
        """Record that a worker writes to its members from `begin` to `end`; the machine's card sends after it."""
        size = members * wire_bytes(self.load.costs.frame_bytes * len(messages))
        machine = worker // self.load.hardware.workers
        self.clock.at(begin, self._send, self.cards[machine], size, members, messages, end)

    def _send(self, card, size, members, messages, end):
        gone = card.serve(self.clock.now, size / self.load.hardware.nic)
        end = max(end, gone)
        begin = self.clock.now
        for message in messages:
            self.delivered[message.number] += members
            if message.sent >= WARM_UP:
                at = begin + self._rng.random() * (end - begin)
                self.samples.append((message.sent, at - message.sent, members))
