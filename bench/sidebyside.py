#!/usr/bin/env python3
"""Run chat servers one after another under the same load and print them side by side.

Server on CPU 0, load on CPU 1; rounds in turn, medians, and the ratio to the seed's Node server.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from contestants import contestants, ours_env, setup, write_paths


class Scenario(NamedTuple):
    """The load: what swarm.c is told."""

    connections: int
    senders: int
    in_flight: int  # messages that each sender keeps under way
    rate: int  # messages a second of all senders together; 0: as fast as they come back
    seconds: int
    payload: int  # bytes
    settle: int  # seconds between the last connect and the first message


SCENARIOS = {
    "fanout": Scenario(500, 4, 4, 0, 5, 64, 2),  # deliveries a second, few in flight
    "wide": Scenario(500, 16, 16, 0, 5, 64, 2),  # the same, many in flight
    "paced": Scenario(500, 4, 0, 100, 5, 64, 2),  # latency at 50,000 deliveries a second
    "crowd": Scenario(3000, 4, 4, 0, 5, 64, 4),
    "big": Scenario(200, 4, 4, 0, 5, 4000, 2),
    "idle": Scenario(5000, 0, 0, 0, 4, 64, 2),  # memory of an idle connection; connections a second
    "direct": Scenario(3000, 64, 4, 0, 5, 64, 4),  # direct messages to random others
    "storm": Scenario(500, 0, 0, 0, 2, 64, 3),  # bytes that N joins cost, the roster included
}

COLUMNS = (
    "deliveries_per_s",
    "p50_ms",
    "p99_ms",
    "max_ms",
    "kb_per_conn",
    "connect_per_s",
    "boot_mb",
    "cpu_us_per_delivery",
    "frames_per_read",
    "dead",
)


def tree(pid):
    """The pid and those of all its descendants."""
    found, todo = [], [pid]
    while todo:
        pid = todo.pop()
        found.append(pid)
        try:
            todo += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        except OSError:
            continue
    return found


def rss_cpu(pid):
    """Resident bytes and seconds of CPU of the whole process tree."""
    rss = cpu = 0
    for one in tree(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        cpu += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        rss += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    return rss, cpu


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def pinned(cpu, command):
    """The command, held to one CPU; all on the same where the machine has no second."""
    return ["taskset", "-c", str(min(cpu, os.cpu_count() - 1)), *map(str, command)]


@contextmanager
def serving(contestant, port, project, env, log_path):
    """The server's process, once it accepts connections; ended on the way out."""
    cwd = project if contestant.paths.startswith("ours") else None
    with open(log_path, "ab") as log:
        server = subprocess.Popen(
            pinned(0, contestant.command), cwd=cwd, env={**os.environ, **env}, stdout=log, stderr=log
        )
    try:
        wait_for(server, port, log_path)
        yield server
    finally:
        server.terminate()
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def wait_for(server, port, log_path):
    for _ in range(300):
        if server.poll() is not None:
            sys.exit(f"The server ended at once:\n{log_path.read_text()[-800:]}")
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            time.sleep(0.1)
        else:
            return time.sleep(0.5)  # let it finish what it does at start, so that memory is counted from rest
    sys.exit(f"The server did not listen within 30 s:\n{log_path.read_text()[-800:]}")


def swarm_command(directory, port, paths, scenario, mode):
    s = SCENARIOS[scenario]
    load = (s.connections, s.senders, s.in_flight, s.rate, s.seconds, s.payload)
    return pinned(1, (directory / "swarm", "127.0.0.1", port, paths, *load, mode, s.settle))


def measure(directory, project, name, scenario, scratch):
    port = free_port()
    contestant = contestants(directory, project, port)[name]
    env, mode = contestant.env, "dm" if scenario == "direct" else contestant.mode
    if name.startswith("ours"):
        env = ours_env(scratch, env.get("EPHEMERAL"))
    paths = scratch / f"paths-{contestant.paths}"
    if not paths.exists():
        write_paths(paths, contestant.paths, project, env)
    with serving(contestant, port, project, env, scratch / f"{name}.log") as server:
        result = load(server, swarm_command(directory, port, paths, scenario, mode))
    if result["dead"]:
        print(f"  {name}: {result['dead']} connections died: {result['stderr'][:300]}", file=sys.stderr)
    return result


def load(server, command):
    """What the load counted, with the server's memory a connection and CPU a delivery beside it."""
    rss_before, cpu_before = rss_cpu(server.pid)
    swarm = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peak = rss_before
    while swarm.poll() is None:
        time.sleep(0.2)
        peak = max(peak, rss_cpu(server.pid)[0])
    cpu = rss_cpu(server.pid)[1] - cpu_before
    out, err = swarm.communicate()
    result = {**json.loads(out), "stderr": err.strip()}
    result["kb_per_conn"] = round((peak - rss_before) / 1024 / max(1, result["ready"]), 2)
    result["cpu_us_per_delivery"] = round(cpu * 1e6 / max(1, result["chat_frames"]), 3)
    return result


def choose(directory, project, scenario, only):
    """The servers of this run; one that is not installed is named and left out."""
    everyone = contestants(directory, project, 1)
    if only:
        names = only.split(",")
    elif scenario == "direct":
        names = [n for n in everyone if n in ("seed", "bun", "ours", "ours-durable")]
    elif scenario == "storm":
        names = [n for n in everyone if n == "seed+roster" or n.startswith("ours")]
    else:
        names = [n for n in everyone if n != "seed+roster"]
    missing = [n for n in names if not Path(everyone[n].needs).exists()]
    if missing:
        print(f"skipped, not installed: {', '.join(missing)}", file=sys.stderr)
    return [n for n in names if n not in missing]


def table(scenario, rounds, medians):
    print(f"\n{scenario} {tuple(SCENARIOS[scenario])}  medians of {rounds}")
    print(f"{'server':16}" + "".join(f"{c:>20}" for c in COLUMNS))
    base = medians.get("seed") or medians.get("seed+roster")
    for name, row in medians.items():
        print(f"{name:16}" + "".join(f"{row[c]:>20,.2f}" for c in COLUMNS))
        if base and row is not base:
            ratios = (f"{row[c] / base[c]:>20,.3f}" if base[c] else f"{'-':>20}" for c in COLUMNS)
            print(f"{'  / seed':16}" + "".join(ratios))


def compare(options, scratch):
    """Each scenario's medians, printed as they come: {scenario: {server: {column: median}}}."""
    results = {}
    for scenario in options.scenarios:
        names = choose(options.dir, options.project, scenario, options.only)
        runs = {name: [] for name in names}
        for _ in range(options.rounds):
            for name in names:
                runs[name].append(measure(options.dir, options.project, name, scenario, scratch))
        medians = {n: {c: statistics.median(r[c] for r in rows) for c in COLUMNS} for n, rows in runs.items()}
        results[scenario] = medians
        table(scenario, options.rounds, medians)
    return results


def arguments():
    def path(text):
        return Path(text).resolve()

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--setup", type=path, metavar="DIR", help="build and install the anchors into DIR, and stop"
    )
    parser.add_argument("--dir", type=path, help="where --setup put them")
    parser.add_argument("--project", type=path, help="this project's folder, to measure it too")
    parser.add_argument("--only", default="", help="server names, comma-separated")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=path, help="write the medians here too")
    parser.add_argument(
        "scenarios", nargs="*", choices=[*SCENARIOS, []], metavar="scenario", help=" ".join(SCENARIOS)
    )
    return parser, parser.parse_args()


def main():
    parser, options = arguments()
    if options.setup:
        return setup(options.setup)
    if not options.dir or not options.scenarios:
        parser.error("--dir DIR and at least one scenario are needed (or --setup DIR)")
    with tempfile.TemporaryDirectory(prefix="sidebyside-") as scratch:
        results = compare(options, Path(scratch))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
