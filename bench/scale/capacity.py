"""What one worker, one machine and one region hold, and what a million idle connections take: closed forms alone."""

from bench.scale.broker import Hint, turn_us
from bench.scale.closed import hold
from bench.scale.costs import ASSUMED, MEASURED, wire_bytes
from bench.scale.loads import CROWD
from bench.scale.site import HEARTBEAT, PING

#: The share of a resource up to which it is planned with.
FULL = 0.7
MILLION = 1_000_000
#: net.ipv4.ip_local_port_range as it comes.
PORTS = 60_999 - 32_768 + 1


def rate(us, share=FULL):
    """How many a second, of what takes so many microseconds of one core."""
    return share * 1e6 / us


def worker():
    """(what, how many) of one worker, at 70 % of its core."""
    costs = MEASURED
    alone = (
        costs.ingest + costs.worker_commit + costs.worker_stored + costs.worker_publish + costs.worker_hint
    )
    shared = (
        costs.ingest
        + costs.worker_stored
        + (costs.worker_commit + costs.worker_publish + costs.worker_hint) / 16
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
            rate(costs.worker_look_row, 0.1),
        ),
    ]


def machine():
    """(what, how many) of one machine: its workers together, or its network card where that is less."""
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
    """(what, how many) of what all workers share: one Redis, one store of 16 cores, one room's lock."""
    costs = MEASURED
    cores = FULL * 1e6 * ASSUMED.store_cores
    return [
        *(
            (f"bus messages/s of one Redis, {how} to {many} workers", rate(hint_us(many, count)))
            for many in (2, 8, 32, 128)
            for how, count in (("each alone", 1), ("16 at once", 16))
        ),
        ("workers whose heartbeats take a tenth of the Redis of the site-wide channel", heartbeats(0.1)),
        ("messages/s of one store, each committed alone", cores / (costs.commit + costs.stored)),
        ("messages/s of one store, 16 per commit", 16 * cores / (costs.commit + 16 * costs.stored)),
        ("commits/s of one room, by all workers together", 1 / hold(CROWD)),
    ]


def million(machines):
    """(what, how much) for a million idle connections on so many machines."""
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
    """Of a worker, for one idle connection and second."""
    return MEASURED.idle + MEASURED.beat / PING


def hint_us(workers, at_once):
    """Of Redis, for one hint of so many that one connection sends at once."""
    hints = [Hint(tuple(range(workers)), MEASURED.hint_bytes / 1_000, None)] * at_once
    return turn_us(MEASURED, 1, hints) / at_once


def heartbeat_share(workers):
    """Of the Redis that has the site-wide channel: each worker to all, every few seconds."""
    return workers / HEARTBEAT * hint_us(workers, 1) / 1e6


def heartbeats(share):
    """The most workers whose heartbeats take no more than the share."""
    workers = 1
    while heartbeat_share(workers + 1) <= share:
        workers += 1
    return workers
