"""The scenarios: the load of each, the servers it measures, and the goals of the chat."""

from typing import NamedTuple

ALL_SERVERS = ("ours", "seed", "bun", "socket.io", "websockets", "flask-socketio", "flask-sock")
#: The same, and ours with Socket.IO clients as well.
WITH_IO = ("ours", "ours-io", *ALL_SERVERS[1:])
#: The servers with direct messages.
DIRECT = ("ours", "seed", "bun")


class Goal(NamedTuple):
    """The figure of `of`, divided by that of `against` if there is one, must be at least or at most the limit."""

    figure: str
    sense: str  # "≥" or "≤"
    limit: float
    against: str = ""  # a server's name; "quiet": the same server without the disturbance
    of: str = "ours"


class Scenario(NamedTuple):
    """One load. Rates are per second, of all clients together. At 0 each sender keeps `in_flight` messages going."""

    about: str
    figures: tuple[str, ...]
    connections: int
    senders: int = 0
    in_flight: int = 0
    rate: float = 0
    seconds: float = 5
    payload: int = 64  # bytes
    settle: float = 2  # seconds between the last connect and the first message
    kind: str = "group"
    direct_rate: float = 0
    churners: int = 0  # clients that disconnect and reconnect
    churn: float = 0  # of them, per second
    disturbance: str = ""  # slow, busy: each server is measured without and with it
    acks: bool = False  # only ours acknowledges messages
    servers: tuple[str, ...] = ALL_SERVERS
    goals: tuple[Goal, ...] = ()

    @property
    def slow(self):
        """The number of clients that stop reading when the messages begin, in the disturbed run."""
        return self.connections // 10 if self.disturbance == "slow" else 0


#: Ours with every message on disk before it is delivered.
STORING = ("ours-stored", "seed", "bun")
THROUGHPUT = ("deliveries_per_s", "cpu_us_per_delivery", "p50_ms", "p99_ms")
STORED = (*THROUGHPUT, "commit_ms", "commit_messages", "fsync_ms")
LATENCY = ("p50_ms", "p99_ms", "max_ms", "cpu_us_per_delivery")
LOST = ("group_missing", "group_twice", "out_of_order", "direct_missing", "direct_strayed", "dead")

SCENARIOS = {
    "fanout": Scenario(
        "500 clients, 4 of them keep 4 messages of 64 bytes in flight",
        THROUGHPUT,
        connections=500,
        senders=4,
        in_flight=4,
        servers=WITH_IO,
        goals=(
            Goal("deliveries_per_s", "≥", 25, "seed"),
            Goal("deliveries_per_s", "≥", 0.8, "bun"),
            Goal("deliveries_per_s", "≥", 20, "socket.io", of="ours-io"),
        ),
    ),
    "wide": Scenario(
        "500 clients, 16 of them keep 16 messages of 64 bytes in flight",
        THROUGHPUT,
        connections=500,
        senders=16,
        in_flight=16,
        servers=WITH_IO,
        goals=(
            Goal("deliveries_per_s", "≥", 75, "seed"),
            Goal("deliveries_per_s", "≥", 1.5, "bun"),
            Goal("cpu_us_per_delivery", "≤", 1 / 1.5, "bun"),
            Goal("deliveries_per_s", "≥", 60, "socket.io", of="ours-io"),
        ),
    ),
    "durable": Scenario(
        "fanout, every message stored (SQLite, synchronous=FULL) and acknowledged before it is delivered",
        STORED,
        connections=500,
        senders=4,
        in_flight=4,
        acks=True,
        servers=STORING,
        goals=(
            Goal("deliveries_per_s", "≥", 15, "seed", of="ours-stored"),
            Goal("acks_missing", "≤", 0, of="ours-stored"),
        ),
    ),
    "durable-wide": Scenario(
        "wide, every message stored and acknowledged before it is delivered",
        STORED,
        connections=500,
        senders=16,
        in_flight=16,
        acks=True,
        servers=STORING,
        goals=(
            Goal("deliveries_per_s", "≥", 15, "seed", of="ours-stored"),
            Goal("acks_missing", "≤", 0, of="ours-stored"),
        ),
    ),
    "crowd": Scenario(
        "3,000 clients, 4 of them keep 4 messages of 64 bytes in flight",
        THROUGHPUT,
        connections=3000,
        senders=4,
        in_flight=4,
        settle=4,
        goals=(Goal("deliveries_per_s", "≥", 30, "seed"), Goal("deliveries_per_s", "≥", 1, "bun")),
    ),
    "big": Scenario(
        "200 clients, 4 of them keep 4 messages of 4,000 bytes in flight",
        THROUGHPUT,
        connections=200,
        senders=4,
        in_flight=4,
        payload=4000,
        goals=(Goal("deliveries_per_s", "≥", 20, "seed"),),
    ),
    "paced": Scenario(
        "500 clients, 100 messages of 64 bytes a second: 50,000 deliveries",
        LATENCY,
        connections=500,
        senders=4,
        rate=100,
        servers=WITH_IO,
        goals=(
            Goal("p50_ms", "≤", 1, "seed"),
            Goal("p99_ms", "≤", 1, "seed"),
            Goal("cpu_us_per_delivery", "≤", 1, "seed"),
            Goal("p99_ms", "≤", 1.6, "bun"),
            Goal("p99_ms", "≤", 1, "socket.io", of="ours-io"),
        ),
    ),
    "direct": Scenario(
        "3,000 clients, 64 of them keep 4 direct messages to random clients in flight",
        THROUGHPUT,
        connections=3000,
        senders=64,
        in_flight=4,
        settle=4,
        kind="direct",
        servers=DIRECT,
        goals=(Goal("deliveries_per_s", "≥", 4, "seed"),),
    ),
    "idle": Scenario(
        "5,000 clients that stay connected and send nothing",
        ("kb_per_conn", "connect_per_s", "cpu_share"),
        connections=5000,
        seconds=4,
        servers=WITH_IO,
        goals=(Goal("kb_per_conn", "≤", 2.0), Goal("kb_per_conn", "≤", 3.0, of="ours-io")),
    ),
    "connect": Scenario(
        "2,000 clients connect, each with its own token; ours sends each the whole roster, the seed does not",
        ("connect_per_s", "cpu_us_per_conn", "boot_mb"),
        connections=2000,
        seconds=0.5,
        settle=1,
        goals=(Goal("connect_per_s", "≥", 1.3, "seed"),),
    ),
    "storm": Scenario(
        "500 clients join, and each is sent the roster",
        ("boot_mb", "connect_per_s"),
        connections=500,
        seconds=2,
        settle=3,
        servers=("ours", "seed+roster"),
        goals=(Goal("boot_mb", "≤", 1 / 60, "seed+roster"),),
    ),
    "storm2000": Scenario(
        "2,000 clients join, and each is sent the roster, within 20 MB a second",
        ("connect_per_s", "push_mb_per_s", "push_mb", "boot_mb"),
        connections=2000,
        seconds=3,
        settle=8,
        servers=("ours",),
        goals=(Goal("connect_per_s", "≥", 1000), Goal("push_mb_per_s", "≤", 22)),
    ),
    "slow": Scenario(
        "500 clients, 100 messages of 1,000 bytes a second; a tenth of the clients stop reading",
        ("p50_ms", "p99_ms", "grown_mb", "slow_closed", "slow_told_4408", "slow_after_s"),
        connections=500,
        senders=4,
        rate=100,
        payload=1000,
        seconds=30,
        disturbance="slow",
        servers=DIRECT,
        goals=(
            Goal("p99_ms", "≤", 1.5, "quiet"),
            Goal("slow_closed", "≥", 50),
            Goal("slow_after_s", "≤", 28),  # CHAT_OUTBOX_SECONDS, once the kernel's buffers are full
            Goal("grown_mb", "≤", 32),
        ),
    ),
    "busy": Scenario(
        "500 clients, 100 messages a second, server not pinned to a core; users log in and read pages meanwhile",
        ("p50_ms", "p99_ms", "max_ms", "logins_per_s", "pages_per_s"),
        connections=500,
        senders=4,
        rate=100,
        seconds=8,
        disturbance="busy",
        servers=("ours",),
        goals=(Goal("p99_ms", "≤", 3, "quiet"),),
    ),
    "mixed": Scenario(
        "an hour in a minute: 2,000 users send messages, connect and disconnect; everything must arrive",
        ("p50_ms", "p99_ms", "cpu_share", "grown_mb", "deliveries", "missing", "dead"),
        connections=2000,
        senders=200,
        rate=20,
        seconds=60,
        settle=4,
        kind="mixed",
        direct_rate=50,
        churners=400,
        churn=10,
        servers=("ours-pages", "seed", "bun"),
        goals=tuple(Goal(figure, "≤", 0, of="ours-pages") for figure in (*LOST, "acks_missing", "errors")),
    ),
}
