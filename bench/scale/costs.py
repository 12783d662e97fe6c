"""The measured figures that all results here are computed from, each with its source.

Processor time is in microseconds, sizes are in bytes. `all` is bench/results/all-2026-11-23.json, `io` is
fanout-wide-paced-idle-2026-11-23.json, `measure` is `python -m bench.scale.measure`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Costs:
    """The cost of single operations, as measured on one core of the bench's machine."""

    #: A write to a socket, of any size. all, crowd: 0.517 µs × 16.05 frames a write − the frames. paced, where
    #: each write has one frame, gives 7.64. With 500 warm sockets (fanout) it is 4.5, but not in a full worker.
    send: float = 7.55
    #: Each frame of a write. all, between fanout (15.99 frames, 5.25 µs a write) and wide (258.4, 16.34).
    frame: float = 0.046
    #: An incoming message: read, parsed, checked, routed. all, direct: 13.43 µs − one write.
    ingest: float = 5.9
    #: A connection: handshake, token, welcome, list. all, connect.
    connect: float = 445.0
    #: Each KB of the roster list that a joining client is sent. all, big: 0.816 µs × 14.22 frames of 4,000 bytes,
    #: without the write itself (4.5: 200 warm sockets).
    list_kb: float = 0.13
    #: An idle connection per second: the sweeper's pass. all, idle: 1.5 % of a core for 5,000.
    idle: float = 3.0
    #: A heartbeat's ping and pong: all, direct, which reads and parses more than a pong.
    beat: float = 13.4

    #: A worker's memory of an idle connection (all and io, idle, grown_mb / 5,000), and the kernel's: measure, sockets.
    idle_bytes: int = 1_633
    io_idle_bytes: int = 2_447
    kernel_bytes: int = 3_848
    #: A socket with unread data: at least one page. measure, sockets: 3,845 for 181 bytes.
    unread_bytes: int = 4_096
    #: A worker without connections, resident. measure, worker.
    worker_bytes: int = 83_400_000

    #: A stored message of 64 characters on the wire, and an entry of a roster's list. The codec's own frame;
    #: all, idle: (737.43 − 166.26 MB) / (5,000² / 2).
    frame_bytes: int = 207
    entry_bytes: float = 45.7

    #: Valkey, in each turn of its loop: a publishing connection, each message, each copy of it, each KB of a copy,
    #: each connection written to. measure, valkey: a PUBLISH alone takes 21.6 + 3.03 a subscriber, and among 250 at
    #: once 1.0 + 0.34; a message of 19,200 bytes to 16 takes 108, one of 300 bytes 87.
    published: float = 20.6
    bus_message: float = 1.0
    copy: float = 0.34
    copy_kb: float = 0.07
    written: float = 2.69
    #: Valkey: the memory of one user's channel, and the time to subscribe to it.
    channel_bytes: int = 235
    subscribe: float = 1.5
    #: A worker: a publish (29.8 alone, 2.8 among 250), each bus message of it; a received bus message, and each chat
    #: message in it (decoded, through the seq gate, encoded). measure, valkey and worker.
    worker_publish: float = 27.0
    worker_publish_each: float = 2.8
    worker_bus_message: float = 7.4
    worker_bus_entry: float = 2.9
    #: A worker: a user who connects to a peer, that is an entry of the lobby's roster and a socket count: time and
    #: memory. measure, worker.
    elsewhere: float = 7.1
    elsewhere_bytes: int = 773
    #: Bytes of a bus message with one chat message, as in the measurements.
    bus_message_bytes: int = 300

    #: PostgreSQL: a transaction, each message in it, and the flush to disk (bench.commits.fsync_ms).
    commit: float = 480.0
    stored: float = 30.8
    flush: float = 200.0
    #: A worker: the same.
    worker_commit: float = 502.0
    worker_stored: float = 12.3
    #: The store check of each second for messages of other workers, and each changed room in it.
    store_check: float = 100.0
    check_row: float = 0.5
    worker_check: float = 425.0
    worker_check_row: float = 2.4
    #: 50 missed messages of a room, read for a client that reconnects.
    replay: float = 140.0
    worker_replay: float = 482.0


#: Over Socket.IO a write costs 5.59 µs with 500 warm sockets (io, between fanout and wide), where a raw one costs 4.52.
IO_SHARE = 1.23
#: The same message as an event, with its offset.
IO_FRAME_BYTES = 247


@dataclass(frozen=True)
class Hardware:
    """Assumed, NOT measured: the machines of a site."""

    #: Worker processes of a machine, each with its own core.
    workers: int = 8
    #: Bytes a second that a machine's network card sends: 10 Gbit/s.
    nic: float = 1.25e9
    #: Cores of a store's shard, and seconds from one machine to another.
    store_cores: int = 16
    hop: float = 0.0001


#: Bytes around each segment on the wire (Ethernet with its gap, IP, TCP with timestamps), and the largest segment.
SEGMENT_OVERHEAD, SEGMENT = 90, 1_448


def wire_bytes(size):
    """Return the bytes on the network for one write of `size` bytes."""
    return size + SEGMENT_OVERHEAD * -(-size // SEGMENT)


MEASURED = Costs()
ASSUMED = Hardware()
