"""A long run of `mixed` that checks whether anything grows: `make soak MINUTES=30`. Exit code 1 if a check fails.

While clients send messages, connect and disconnect, the run samples the server's memory, descriptors, threads,
greenlets and objects. No message may be lost, and at the end the server must have released everything.
"""

import argparse
import json
import signal
import statistics
import sys
import time
import urllib.request
from pathlib import Path

from bench import install, processes
from bench.measure import SERVER_CPU, Load, LoadFailed, swarm_command
from bench.report import aligned
from bench.scenarios import LOST, SCENARIOS
from bench.servers import ServerFailed, free_port, servers, serving
from bench.workspace import INSTALLED, open_workspace

#: The number of samples, and the least seconds between two of them.
SAMPLES, MIN_INTERVAL = 120, 5.0
#: Seconds after the last disconnect in which the roster must be empty: its grace period and some reserve.
EMPTY_AFTER = 10.0
#: How much a figure may grow between an early and a late part of the run: a share, or MB for allocator noise.
GROWTH_SHARE, GROWTH_MB = 0.02, 3.0
#: What may remain at the end: gevent's pool of ten threads grows with use; a database connection stays open.
LEFT = {"threads": 12, "descriptors": 8, "greenlets": 15}
COLUMNS = ("seconds", "memory_mb", "descriptors", "threads", "greenlets", "objects", "roster")


class Monitor:
    """Samples what the server holds, from /proc and from its census page."""

    def __init__(self, pid, port):
        self._pid = pid
        self._url = f"http://127.0.0.1:{port}/census"
        self._start = time.monotonic()
        self.samples = []

    def sample(self):
        """Take one sample, print it, and append it to `samples`."""
        with urllib.request.urlopen(self._url, timeout=60) as answer:
            census = json.load(answer)
        row = {
            "seconds": time.monotonic() - self._start,
            "memory_mb": processes.resident(self._pid) / 1e6,
            "descriptors": processes.descriptors(self._pid),
            "threads": processes.threads(self._pid),
            **census,
        }
        print("  " + "  ".join(f"{row[column]:>11,.0f}" for column in COLUMNS), flush=True)
        self.samples.append(row)
        return row

    def until_empty(self):
        """Wait until the roster is empty, at most EMPTY_AFTER seconds; return the last sample."""
        end = time.monotonic() + EMPTY_AFTER
        while (row := self.sample())["roster"] and time.monotonic() < end:
            time.sleep(1)
        return row


def soak(place, minutes):
    """Run the soak; return (sample before, samples during, sample after, the load's result)."""
    port = free_port()
    server = servers(place, port)["ours-soak"]
    scenario = SCENARIOS["mixed"]._replace(seconds=minutes * 60)
    command = swarm_command(place, server, port, scenario, disturbed=False)
    with serving(place, server, port, SERVER_CPU) as process:
        monitor = Monitor(process.pid, port)
        print("  " + "  ".join(f"{column.replace('_', ' '):>11}" for column in COLUMNS))
        before = monitor.sample()
        during = monitor.samples = []
        with (
            Load(command, process.pid) as load,
            processes.Sampler(monitor.sample, max(MIN_INTERVAL, minutes * 60 / SAMPLES)),
        ):
            result = load.run()
        monitor.samples = []
        return before, during, monitor.until_empty(), result


def checks(before, during, after, result):
    """Yield (what is checked, what was found, whether it is ok)."""
    full = [sample for sample in during if sample["roster"] >= 0.8 * SCENARIOS["mixed"].connections]
    yield from (flat(full, figure, least) for figure, least in (("memory_mb", GROWTH_MB), ("objects", 5000)))
    for figure, spare in LEFT.items():
        found = f"{before[figure]} before, {after[figure]} after"
        yield f"{figure} released", found, after[figure] <= before[figure] + spare
    yield "roster empty at the end", f"{after['roster']} left", not after["roster"]
    lost = {key: result[key] for key in (*LOST, "acks_missing", "errors") if result[key]}
    counts = f"{result['deliveries']:,} deliveries, {result['leaves']:,} disconnects, {result['joins']:,} reconnects"
    yield "nothing lost", f"{counts}, {lost or 'none lost'}", not lost


def flat(samples, figure, least):
    """Check that the figure's median in the last fifth of the run is about that of the second fifth."""
    fifth = len(samples) // 5
    if not fifth:
        return f"{figure} flat", "the run is too short", False
    early = statistics.median(sample[figure] for sample in samples[fifth : 2 * fifth])
    late = statistics.median(sample[figure] for sample in samples[-fifth:])
    found = f"{early:,.1f} early, {late:,.1f} late"
    return f"{figure} flat", found, late - early <= max(least, early * GROWTH_SHARE)


def main():
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("minutes", nargs="?", type=float, default=30)
    parser.add_argument("--dir", type=Path, default=INSTALLED)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))
    try:
        with open_workspace(options.dir.resolve()) as place:
            found = list(checks(*soak(place, options.minutes)))
    except (install.CannotMeasure, ServerFailed, LoadFailed) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("\nStopped.")
    print(f"\nA soak of {options.minutes:g} minutes:")
    print(*aligned([[what, value, "ok" if ok else "FAILED"] for what, value, ok in found]), sep="\n")
    sys.exit(0 if all(ok for _, _, ok in found) else 1)


if __name__ == "__main__":
    main()
