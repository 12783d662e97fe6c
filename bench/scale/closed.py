"""The closed forms: what a load takes if every message is stored, published and written by itself, none shared."""

import random
from itertools import islice
from typing import NamedTuple

from bench.scale.costs import wire_bytes
from bench.scale.loads import Seating, crossing, speakers
from bench.scale.site import HEARTBEAT, PING, TOLD
from bench.scale.worker import MICRO

#: Messages over which a load's means are taken.
DRAWN = 4_000


class Means(NamedTuple):
    """Of one message: members who hear it, workers that have any, and the share of the room in which most is said."""

    members: float
    hearers: float
    hottest: float


def means(load, seed=1):
    seating, count = Seating(load, seed), DRAWN if load.rooms > 1 else 1
    drawn = list(islice(speakers(load, random.Random(seed)), count))
    members = sum(sum(seating.of(room).values()) for room in drawn) / count
    hearers = sum(len(seating.of(room)) for room in drawn) / count
    sizes = load.sizes()
    return Means(members, hearers, max(sizes) / sum(sizes) if load.talk_by_size else 1 / load.rooms)


def shares(load, rate, seed=1):
    """{resource: share of 1 that the load takes of it}; above 1 it would not do, if nothing were shared."""
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
        "room lock": 0.0 if load.ephemeral else rate * found.hottest * hold(load),
    }


def worker_us(load, found):
    """Processor time of all workers for one message."""
    costs = load.costs
    stored = 0.0 if load.ephemeral else costs.worker_commit + costs.worker_stored
    said = costs.ingest + stored + costs.worker_publish + channels(load) * costs.worker_hint_out
    # Its own echo is dropped before it is decoded.
    own = 0 if load.publishers else 1
    heard = found.hearers * costs.worker_hint + (found.hearers - own) * costs.worker_hinted
    return said + heard + found.members * (costs.send + costs.frame)


def upkeep(load, rate):
    """Processor time of a worker and second for the idle, the look, and the others' heartbeats."""
    costs, clients = load.costs, load.connections / load.workers
    rows = 0 if load.ephemeral else min(rate, load.rooms)
    look = 0 if load.ephemeral else load.stores * costs.worker_look + rows * costs.worker_look_row
    return clients * (costs.idle + costs.beat / PING) + look + beats_heard(load) * costs.worker_hint


def beats_heard(load):
    """Heartbeats and versions of rooms that a worker hears in a second."""
    found = crossing(load)
    return (load.workers + min(TOLD, found.rooms) * found.hearers) / HEARTBEAT


def broker(load, rate, found):
    """Of the broker that serves the site-wide channel beside its part of the rooms, each hint in a turn of its own."""
    costs = load.costs
    each = costs.copy + costs.copy_kb * costs.hint_bytes / 1_000 + costs.written
    said = costs.published + channels(load) * costs.hint + found.hearers * each
    return (rate * said / load.brokers + beats_us(load)) * MICRO


def beats_us(load):
    """Processor time a second of that broker for the heartbeats of all workers, and the versions of their rooms."""
    costs, cross = load.costs, crossing(load)
    alive = costs.published + costs.hint + load.workers * (costs.copy + costs.written)
    rooms = min(TOLD, cross.rooms) / load.brokers
    written = min(load.workers, rooms * cross.hearers) * costs.written
    versions = costs.published + rooms * (costs.hint + cross.hearers * costs.copy) + written
    return load.workers / HEARTBEAT * (alive + versions)


def store(load, rate):
    if load.ephemeral:
        return 0.0
    costs = load.costs
    looks = load.workers * (load.stores * costs.look + min(rate, load.rooms) * costs.look_row)
    return (rate * (costs.commit + costs.stored) + looks) * MICRO / load.stores / load.hardware.store_cores


def hold(load):
    """Seconds for which a commit of one message holds its room."""
    costs = load.costs
    return (costs.commit + costs.stored + costs.flush) * MICRO + 2 * load.hardware.hop


def channels(load):
    return 2 if load.direct else 1
