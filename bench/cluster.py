"""The cost of several workers: one worker alone, and one and two workers connected by Valkey, under the same load.

`python -m bench.cluster` (or `make bench ARGS=cluster`). All workers share one core; load and Valkey use the other. The
processor time of a delivery indicates what two workers would reach on two cores.
"""

import argparse
import datetime
import json
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import NamedTuple

from bench import machine, processes, report
from bench.measure import LOAD_CPU, SERVER_CPU
from bench.servers import Server, free_port, ours_env, paths_for, pinned, serving
from bench.workspace import RESULTS, open_workspace

SETTLE, SECONDS = 3, 5
PREFIX = "bench"


class Setup(NamedTuple):
    """The servers: `workers` gunicorns of one worker each, connected by Valkey or not, storing messages or not."""

    title: str
    workers: int
    joined: bool
    stored: bool = False


class Traffic(NamedTuple):
    """The messages: each of `senders` keeps `in_flight` of them in flight, or all together send `rate` a second."""

    clients: int
    senders: int = 4
    in_flight: int = 4
    rate: float = 0


SETUPS = {
    "alone": Setup("one worker, memory broker", 1, False),
    "one": Setup("one worker on Valkey", 1, True),
    "two": Setup("two workers on Valkey", 2, True),
    "alone-stored": Setup("one worker, memory broker, stored", 1, False, True),
    "two-stored": Setup("two workers on Valkey, stored", 2, True, True),
}
LOADS = {
    "fanout": Traffic(500),
    "paced": Traffic(500, rate=100),
    "few": Traffic(100, rate=100),
}
#: (figure, setup, base, sense, limit, load): the goals.
GOALS = (
    ("cpu_us_per_delivery", "two", "alone", "≤", 1.3, "fanout"),
    ("cpu_us_per_delivery", "two", "alone", "≤", 1 / 0.85, "fanout"),
    ("cpu_us_per_delivery", "two-stored", "alone-stored", "≤", 1.3, "fanout"),
)


class Failed(Exception):
    """The load ended without a result."""


def measure(place, setup, traffic, valkey):
    """Measure one run; return all figures as one dict."""
    ports = [free_port() for _ in range(setup.workers)]
    with ExitStack() as stack:
        pids = [
            stack.enter_context(serving(place, server(place, port, setup, valkey), port, SERVER_CPU)).pid
            for port in ports
        ]
        time.sleep(1)  # until the workers know one another: a heartbeat that cannot be observed from here
        before = published(valkey)
        loads = [load(stack, place, port, traffic, number, setup) for number, port in enumerate(ports)]
        marks, first = follow(loads[0], pids)
        results = [first, *(json.loads(one.communicate()[0].splitlines()[-1]) for one in loads[1:])]
        after = published(valkey)
    return figures(results, marks, [b - a for a, b in zip(before, after, strict=True)])


def server(place, port, setup, valkey):
    env = ours_env(place.scratch)
    if not setup.stored:
        env["CHAT_EPHEMERAL_ROOMS"] = "lobby,dm:*"
    if setup.joined:
        env |= {"CHAT_REDIS_URL": valkey.url, "CHAT_REDIS_PREFIX": PREFIX}
    gunicorn = place.project / ".venv/bin/gunicorn"
    return Server(setup.title, [gunicorn, "-b", f"127.0.0.1:{port}", "wsgi:app"], "ours", gunicorn, env)


def load(stack, place, port, traffic, number, setup):
    """Start one load generator; the first sends, the others only receive."""
    clients = traffic.clients // setup.workers
    options = {
        "port": port,
        "paths": paths_for(place, Server("", [], "ours", place.project, {})),
        "connections": clients,
        "senders": 0 if number else traffic.senders,
        "seconds": SECONDS,
        "settle": SETTLE,
        **({"rate": traffic.rate} if traffic.rate and not number else {"window": traffic.in_flight}),
    }
    words = [
        place.installed / "load",
        *(word for key, value in options.items() for word in (f"--{key}", value)),
    ]
    process = subprocess.Popen(pinned(LOAD_CPU, words), stdout=subprocess.PIPE, text=True)
    stack.callback(process.wait)
    stack.callback(lambda: process.poll() is None and process.kill())
    return process


def follow(process, pids):
    """Read the output of the sending load; return the servers' processor time at each phase, and the result."""
    marks, result = {}, None
    for line in process.stdout:
        record = json.loads(line)
        if "phase" in record:
            marks[record["phase"]] = sum(map(processes.cpu_seconds, pids))
        else:
            result = record
    if result is None:
        raise Failed("the load ended without a result")
    return marks, result


def figures(results, marks, publishing):
    sent = max(1, results[0]["sent"])
    deliveries = sum(result["window_deliveries"] for result in results)
    found = {
        "cpu_us_per_delivery": (marks["measured"] - marks["measuring"]) * 1e6 / max(1, deliveries),
        "deliveries_per_s": sum(result["deliveries_per_s"] for result in results),
        "p50_ms": results[0]["p50_ms"],
        "p99_ms": results[0]["p99_ms"],
        "publishes_per_message": publishing[0] / sent,
        "bytes_per_message": publishing[1] / sent,
        "missing": results[0]["missing"],
        "load_cpu": max(result["load_cpu"] for result in results),
    }
    if len(results) > 1:
        found["remote_p50_ms"], found["remote_p99_ms"] = results[1]["p50_ms"], results[1]["p99_ms"]
    return found


def published(valkey):
    """Return (PUBLISH commands, bytes received) since the start of the Valkey server."""
    import redis

    client = redis.Redis.from_url(valkey.url)
    stats = client.info("all")
    client.close()
    return stats.get("cmdstat_publish", {}).get("calls", 0), stats["total_net_input_bytes"]


def table(name, rows):
    keys = ["cpu_us_per_delivery", "deliveries_per_s", "p50_ms", "remote_p50_ms", "p99_ms", "remote_p99_ms"]
    keys += ["publishes_per_message", "bytes_per_message", "missing", "load_cpu"]
    print(f"\n{name}: {LOADS[name]}")
    for setup, row in rows.items():
        cells = "  ".join(f"{key} {row[key]:.3f}" for key in keys if key in row)
        print(f"  {SETUPS[setup].title:36} {cells}")


def goals(kept):
    """Yield a line for each goal whose setups were measured."""
    for figure, setup, against, sense, limit, name in GOALS:
        rows = kept.get(name, {})
        if setup in rows and against in rows:
            value = rows[setup][figure] / rows[against][figure]
            met = "met" if value <= limit else "MISSED"
            yield f"  {name}: {figure} of {setup} {sense} {limit:.2f} × {against}: {value:.2f}, {met}"
    paced = kept.get("paced", {}).get("two")
    if paced:
        late = paced["remote_p50_ms"] - paced["p50_ms"]
        met = "met" if late <= 2 else "MISSED"
        yield f"  paced: p50 on the other worker ≤ 2 ms after the local one: {late:.2f} ms, {met}"
    few = kept.get("few", {}).get("two")
    if paced and few:
        for clients, row in ((100, few), (500, paced)):
            cost = f"{row['publishes_per_message']:.2f} bus messages, {row['bytes_per_message']:.0f} bytes"
            yield f"  through Valkey for each message sent, {clients} clients: {cost}"


def main(words=None):
    parser = argparse.ArgumentParser(prog="python -m bench.cluster", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-results", action="store_true", help="do not write a result file")
    options = parser.parse_args(words)
    try:
        from tests.valkeys import running_valkey
    except ModuleNotFoundError:
        sys.exit("This bench starts Valkey from a wheel of the tests: run `make .venv/.dev` first.")
    kept = {}
    with open_workspace() as place, running_valkey() as valkey:
        for name, traffic in LOADS.items():
            runs = {setup: [] for setup in SETUPS if name == "fanout" or setup == "two"}
            for number in range(options.rounds):
                for setup in runs:
                    print(f"  {name} {number + 1}/{options.rounds} {setup}", file=sys.stderr)
                    runs[setup].append(measure(place, SETUPS[setup], traffic, valkey))
            kept[name] = {setup: report.medians(measured) for setup, measured in runs.items()}
            table(name, kept[name])
        print(*goals(kept), sep="\n")
        if not options.no_results:
            made = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
            whole = {"made": made, "rounds": options.rounds, "machine": machine.describe(), "medians": kept}
            report.write(RESULTS / f"cluster-{made[:10]}.json", whole)


if __name__ == "__main__":
    main()
