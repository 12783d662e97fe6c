"""Closed forms: the cost of a load if every message has its own commit, bus message and write."""

import random
from itertools import islice
from typing import NamedTuple

from bench.scale.costs import wire_bytes
from bench.scale.loads import Placement, crossing, rooms_of_messages
from bench.scale.site import HEARTBEAT, MAX_VERSIONS, PING
from bench.scale.worker import MICRO

#: The number of messages whose means describe a load.
SAMPLED = 4_000


class Means(NamedTuple):
    """Means per message: its receivers, the workers that have any, and the busiest room's share of the messages."""

    members: float
    workers_reached: float
    hottest: float


def means(load, seed=1):
    placement, count = Placement(load, seed), SAMPLED if load.rooms > 1 else 1
    sampled = list(islice(rooms_of_messages(load, random.Random(seed)), count))
    members = sum(sum(placement.of(room).values()) for room in sampled) / count
    workers_reached = sum(len(placement.of(room)) for room in sampled) / count
    sizes = load.sizes()
    return Means(members, workers_reached, max(sizes) / sum(sizes) if load.rate_by_size else 1 / load.rooms)


def shares(load, rate, seed=1):
    """Return {resource: utilisation}. Above 1 the load would be too large if nothing were shared."""
    found = means(load, seed)
    return {
        "worker": rate * worker_us(load, found) * MICRO / load.workers + upkeep(load, rate) * MICRO,
        "network": rate
        * found.members
        * wire_bytes(load.costs.frame_bytes)
        / load.machines
        / load.hardware.nic,
        "Redis": broker(load, rate, found),
        "store": store(load, rate),
        "room lock": 0.0 if load.ephemeral else rate * found.hottest * lock_seconds(load),
    }


def worker_us(load, found):
    """Return the processor time of all workers for one message, in µs."""
    costs = load.costs
    stored = 0.0 if load.ephemeral else costs.worker_commit + costs.worker_stored
    outgoing = costs.ingest + stored + costs.worker_publish + channels(load) * costs.worker_publish_each
    # Its own echo is dropped before it is decoded.
    own = 0 if load.publishers else 1
    delivered = (
        found.workers_reached * costs.worker_bus_message
        + (found.workers_reached - own) * costs.worker_bus_entry
    )
    return outgoing + delivered + found.members * (costs.send + costs.frame)


def upkeep(load, rate):
    """Return a worker's µs per second for idle connections, store checks, and heartbeats of its peers."""
    costs, clients = load.costs, load.connections / load.workers
    rows = 0 if load.ephemeral else min(rate, load.rooms)
    checks = 0 if load.ephemeral else load.stores * costs.worker_check + rows * costs.worker_check_row
    return (
        clients * (costs.idle + costs.beat / PING) + checks + beats_received(load) * costs.worker_bus_message
    )


def beats_received(load):
    """Return the heartbeats and room versions that a worker receives per second."""
    found = crossing(load)
    return (load.workers + min(MAX_VERSIONS, found.rooms) * found.workers_reached) / HEARTBEAT


def broker(load, rate, found):
    """Return the share of the broker of the site-wide channel and its part of the rooms, with one message per turn."""
    costs = load.costs
    each = costs.copy + costs.copy_kb * costs.bus_message_bytes / 1_000 + costs.written
    outgoing = costs.published + channels(load) * costs.bus_message + found.workers_reached * each
    return (rate * outgoing / load.brokers + beats_us(load)) * MICRO


def beats_us(load):
    """Return that broker's µs per second for the heartbeats of all workers and their room versions."""
    costs, cross = load.costs, crossing(load)
    alive = costs.published + costs.bus_message + load.workers * (costs.copy + costs.written)
    rooms = min(MAX_VERSIONS, cross.rooms) / load.brokers
    written = min(load.workers, rooms * cross.workers_reached) * costs.written
    versions = costs.published + rooms * (costs.bus_message + cross.workers_reached * costs.copy) + written
    return load.workers / HEARTBEAT * (alive + versions)


def store(load, rate):
    if load.ephemeral:
        return 0.0
    costs = load.costs
    checks = load.workers * (load.stores * costs.store_check + min(rate, load.rooms) * costs.check_row)
    return (rate * (costs.commit + costs.stored) + checks) * MICRO / load.stores / load.hardware.store_cores


def lock_seconds(load):
    """Return the seconds for which a commit of one message locks its room."""
    costs = load.costs
    return (costs.commit + costs.stored + costs.flush) * MICRO + 2 * load.hardware.hop


def channels(load):
    return 2 if load.direct else 1
