"""Closed forms: the capacity of one worker, one machine and one region, and the cost of a million idle connections."""

from bench.scale.broker import BusMessage, turn_us
from bench.scale.closed import lock_seconds
from bench.scale.costs import ASSUMED, MEASURED, wire_bytes
from bench.scale.loads import CROWD
from bench.scale.site import HEARTBEAT, PING

#: The planned utilisation of a resource.
FULL = 0.7
MILLION = 1_000_000
#: net.ipv4.ip_local_port_range by default.
PORTS = 60_999 - 32_768 + 1


def rate(us, share=FULL):
    """Return the operations per second on a share of one core, each taking `us` microseconds."""
    return share * 1e6 / us


def worker():
    """Return (what, how many) for one worker, at 70 % of its core."""
    costs = MEASURED
    alone = (
        costs.ingest
        + costs.worker_commit
        + costs.worker_stored
        + costs.worker_publish
        + costs.worker_bus_message
    )
    shared = (
        costs.ingest
        + costs.worker_stored
        + (costs.worker_commit + costs.worker_publish + costs.worker_bus_message) / 16
    )
    return [
        *(
            (f"deliveries/s, {frames_a_write(frames)}", frames * rate(write_us(frames)))
            for frames in (1, 16, 256)
        ),
        ("messages/s from its clients, stored, each committed alone", rate(alone)),
        ("messages/s from its clients, stored, 16 of a room per commit", rate(shared)),
        ("new connections/s", rate(costs.connect)),
        (
            "new connections/s, each with one resuming Join",
            rate(costs.connect + costs.worker_replay),
        ),
        ("idle connections, for a tenth of its core", rate(idle_us(), 0.1)),
        (
            "rooms of the whole site that change in a second, for a tenth of its core",
            rate(costs.worker_check_row, 0.1),
        ),
    ]


def machine():
    """Return (what, how many) for one machine: its workers together, or its network card if that is the limit."""
    card = FULL * ASSUMED.nic
    rows = []
    for frames in (1, 16, 256):
        cores = ASSUMED.workers * frames * rate(write_us(frames))
        network = frames * card / wire_bytes(frames * MEASURED.frame_bytes)
        rows.append((f"deliveries/s, {frames_a_write(frames)}", min(cores, network)))
    lists = (10_000, 100_000)
    return [
        *rows,
        ("new connections/s", ASSUMED.workers * rate(MEASURED.connect)),
        *(
            (
                f"new connections/s, each sent a list of {many:,}",
                card / wire_bytes(many * MEASURED.entry_bytes),
            )
            for many in lists
        ),
        ("connections through one proxy address to one port", PORTS),
    ]


def region():
    """Return (what, how many) for what all workers share: one Redis, one store of 16 cores, one room's lock."""
    costs = MEASURED
    cores = FULL * 1e6 * ASSUMED.store_cores
    return [
        *(
            (f"bus messages/s of one Redis, {how} to {many} workers", rate(bus_message_us(many, count)))
            for many in (2, 8, 32, 128)
            for how, count in (("each alone", 1), ("16 at once", 16))
        ),
        ("workers whose heartbeats take a tenth of the Redis of the site-wide channel", heartbeats(0.1)),
        ("messages/s of one store, each committed alone", cores / (costs.commit + costs.stored)),
        ("messages/s of one store, 16 per commit", 16 * cores / (costs.commit + 16 * costs.stored)),
        ("commits/s of one room, by all workers together", 1 / lock_seconds(CROWD)),
    ]


def million(machines):
    """Return (what, how much) for a million idle connections on so many machines."""
    costs, workers = MEASURED, machines * ASSUMED.workers
    here = MILLION / machines
    elsewhere = ASSUMED.workers * MILLION * (1 - 1 / workers) * costs.elsewhere_bytes
    kernel, ours = here * MEASURED.kernel_bytes, here * MEASURED.idle_bytes
    base = ASSUMED.workers * MEASURED.worker_bytes
    return [
        ("workers", workers),
        ("connections per worker", MILLION / workers),
        ("GB per machine: the kernel's sockets", kernel / 1e9),
        ("GB per machine: the workers' connections", ours / 1e9),
        ("GB per machine: the workers themselves", base / 1e9),
        ("GB per machine: what each worker holds about all other users", elsewhere / 1e9),
        ("GB per machine while each socket has one message in flight", here * MEASURED.unread_bytes / 1e9),
        ("percent of each worker's core for sweeper and heartbeats", MILLION / workers * idle_us() / 1e4),
        ("seconds until all are connected, by division", MILLION * costs.connect / workers / 1e6),
        (
            "seconds until all are connected, if every worker is informed of each",
            MILLION * (costs.connect / workers + costs.elsewhere) / 1e6,
        ),
        ("MB of users' channels in Redis, in total", MILLION * MEASURED.channel_bytes / 1e6),
        ("percent of Redis for the workers' heartbeats", 100 * heartbeat_share(workers)),
    ]


def write_us(frames):
    return MEASURED.send + frames * MEASURED.frame


def frames_a_write(count):
    return "one frame per write" if count == 1 else f"{count} frames per write"


def idle_us():
    """Return a worker's µs per second for one idle connection."""
    return MEASURED.idle + MEASURED.beat / PING


def bus_message_us(workers, at_once):
    """Return the µs of Redis for one message, of so many that one connection sends at once."""
    bus_messages = [BusMessage(tuple(range(workers)), MEASURED.bus_message_bytes / 1_000, None)] * at_once
    return turn_us(MEASURED, 1, bus_messages) / at_once


def heartbeat_share(workers):
    """Return the share of the Redis of the site-wide channel that heartbeats of all workers to all take."""
    return workers / HEARTBEAT * bus_message_us(workers, 1) / 1e6


def heartbeats(share):
    """Return the largest number of workers whose heartbeats take no more than the share."""
    workers = 1
    while heartbeat_share(workers + 1) <= share:
        workers += 1
    return workers
