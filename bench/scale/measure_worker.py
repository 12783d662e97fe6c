"""What a worker takes before anybody is connected, and what a message in a hint costs it."""

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
#: Users of one diff: those who come to a worker within chat.cluster.presence_publisher.GATHER_SECONDS.
GATHERED = 50


def report():
    with tempfile.TemporaryDirectory() as folder:
        place, port = Workspace(Path(), PROJECT, Path(folder)), free_port()
        with serving(place, servers(place, port)["ours"], port, None) as process:
            for name, pid in zip(("gunicorn's master", "a worker"), tree(process.pid), strict=True):
                resident, share = memory(pid)
                print(
                    f"  {name}, nobody connected: {resident:.1f} MB resident, {share:.1f} MB its proportional share"
                )
    frame, cost = hinted()
    print(
        f"  a message in a hint, decoded, through the gate and drafted: CPU µs {cost:.1f}; {frame} bytes as a frame"
    )
    size, cost = elsewhere()
    print(f"  a user who comes to another worker: {size:.0f} bytes, CPU µs {cost:.1f}")


def memory(pid):
    """(resident, proportional) MB of one process."""
    found = dict(re.findall(r"^(Rss|Pss): +(\d+) kB", read(f"/proc/{pid}/smaps_rollup"), re.MULTILINE))
    return int(found["Rss"]) / 1e3, int(found["Pss"]) / 1e3


def hinted():
    """(bytes of the frame, µs): JSON to envelope, gate, frame."""
    text = "the quick brown fox jumps over a lazy dog while rain falls again"
    hint = {"user": ["u12345678901", "user00123"], "data": text, "id": "mb1234567890", "ts": 1764000000000}
    raw, gate = orjson.dumps(hint), SeqGate(100_000)
    begun = time.thread_time()
    for seq in range(100_001, 100_001 + MESSAGES):
        found = orjson.loads(raw)
        user = Identity(*found["user"])
        one = Envelope(2, found["data"], "lobby", None, found["id"], user, seq, found["ts"])
        frames = [NATIVE.draft(passed) for passed in gate.take(one)]
    return len(frames[0]), (time.thread_time() - begun) / MESSAGES * 1e6


def elsewhere():
    """(bytes, µs) of a user on another worker: its place in a room's roster, and the count of its sockets."""
    roster, presence = Roster("lobby", 3.0, 20e6), Presence()
    there = presence.renew_lease(1, 0.0)
    there.version = 0
    users = [(secrets.token_hex(6), f"user{number:07}") for number in range(USERS)]
    told = [
        (orjson.dumps(some), orjson.dumps([(*user, 1) for user in some]))
        for some in (users[begin : begin + GATHERED] for begin in range(0, USERS, GATHERED))
    ]
    # Processor time and memory are taken by turns: to follow the memory takes time.
    tracemalloc.start()
    hear(roster, presence, there, told)
    roster.take_change(0.0)
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    roster, presence = Roster("lobby", 3.0, 20e6), Presence()
    there = presence.renew_lease(1, 0.0)
    there.version = 0
    begun = time.thread_time()
    hear(roster, presence, there, told)
    return size / USERS, (time.thread_time() - begun) / USERS * 1e6


def hear(roster, presence, there, told):
    """Take what another worker tells of those who come: diffs of the roster, and counts."""
    for number, (joined, counts) in enumerate(told):
        identities = [Identity(*row) for row in orjson.loads(joined)]
        moves = presence.apply_roster_delta(there, "lobby", number, number + 1, identities, [])
        for user in moves.joined:
            roster.join_on_peer(user)
        rows = [(Identity(id, name), count) for id, name, count in orjson.loads(counts)]
        assert presence.apply_count_delta(there, number, number + 1, rows, {})
