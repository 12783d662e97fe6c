"""The memory of a worker without connections, and the cost of a message in a bus message."""

import gc
import re
import secrets
import tempfile
import time
import tracemalloc
from pathlib import Path

import orjson

from bench.processes import read, tree
from bench.servers import free_port, servers, serving
from bench.workspace import PROJECT, Workspace
from chat.cluster.presence import Presence
from chat.rooms.roster import Roster
from chat.rooms.seq_gate import SeqGate
from chat.wire.codec import NATIVE
from chat.wire.envelope import Envelope, Identity

MESSAGES = 200_000
USERS = 100_000
#: Users of one diff: those who connect to a worker within chat.cluster.presence_publisher.GATHER_SECONDS.
GATHERED = 50


def report():
    with tempfile.TemporaryDirectory() as folder:
        place, port = Workspace(Path(), PROJECT, Path(folder)), free_port()
        with serving(place, servers(place, port)["ours"], port, None) as process:
            for name, pid in zip(("gunicorn's master", "a worker"), tree(process.pid), strict=True):
                resident, share = memory(pid)
                print(
                    f"  {name}, no connections: {resident:.1f} MB resident, {share:.1f} MB its proportional share"
                )
    frame, cost = bus_entry()
    print(
        f"  a message of a bus message, decoded, gated and encoded: CPU µs {cost:.1f}; {frame} bytes as a frame"
    )
    size, cost = elsewhere()
    print(f"  a user who connects to a peer: {size:.0f} bytes, CPU µs {cost:.1f}")


def memory(pid):
    """Return (resident, proportional) MB of one process."""
    found = dict(re.findall(r"^(Rss|Pss): +(\d+) kB", read(f"/proc/{pid}/smaps_rollup"), re.MULTILINE))
    return int(found["Rss"]) / 1e3, int(found["Pss"]) / 1e3


def bus_entry():
    """Return (bytes of the frame, µs) of one message: JSON to envelope, seq gate, frame."""
    text = "the quick brown fox jumps over a lazy dog while rain falls again"
    entry = {"user": ["u12345678901", "user00123"], "data": text, "id": "mb1234567890", "ts": 1764000000000}
    raw, gate = orjson.dumps(entry), SeqGate(100_000)
    start = time.thread_time()
    for seq in range(100_001, 100_001 + MESSAGES):
        found = orjson.loads(raw)
        user = Identity(*found["user"])
        one = Envelope(2, found["data"], "lobby", None, found["id"], user, seq, found["ts"])
        frames = [NATIVE.draft(passed) for passed in gate.take(one)]
    return len(frames[0]), (time.thread_time() - start) / MESSAGES * 1e6


def elsewhere():
    """Return (bytes, µs) for a user on a peer: its entry in a room's roster, and its socket count."""
    roster, presence = Roster("lobby", 3.0, 20e6), Presence()
    peer = presence.renew_lease(1, 0.0)
    peer.version = 0
    users = [(secrets.token_hex(6), f"user{number:07}") for number in range(USERS)]
    diffs = [
        (orjson.dumps(some), orjson.dumps([(*user, 1) for user in some]))
        for some in (users[begin : begin + GATHERED] for begin in range(0, USERS, GATHERED))
    ]
    # Processor time and memory are measured separately, because tracing memory takes time.
    tracemalloc.start()
    apply(roster, presence, peer, diffs)
    roster.take_change(0.0)
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    roster, presence = Roster("lobby", 3.0, 20e6), Presence()
    peer = presence.renew_lease(1, 0.0)
    peer.version = 0
    start = time.thread_time()
    apply(roster, presence, peer, diffs)
    return size / USERS, (time.thread_time() - start) / USERS * 1e6


def apply(roster, presence, peer, diffs):
    """Apply a peer's roster diffs and socket counts of connecting users."""
    for number, (joined, counts) in enumerate(diffs):
        identities = [Identity(*row) for row in orjson.loads(joined)]
        moves = presence.apply_roster_delta(peer, "lobby", number, number + 1, identities, [])
        for user in moves.joined:
            roster.join_on_peer(user)
        rows = [(Identity(id, name), count) for id, name, count in orjson.loads(counts)]
        assert presence.apply_count_delta(peer, number, number + 1, rows, {})
