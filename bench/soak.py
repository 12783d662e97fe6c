"""A long `mixed`: does anything grow? `make soak MINUTES=30`. Ends with a verdict, and with 1 where it is a bad one.

While people talk, come and go, the server's memory, descriptors, threads, greenlets and objects are looked at again
and again. Nobody may miss a message; at the end all that was taken must have been given back.
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

#: Looks at the server in all, but never closer together than these seconds.
LOOKS, LEAST_INTERVAL = 120, 5.0
#: Seconds after the last has gone in which the roster must be empty: its grace, and a little.
EMPTY_AFTER = 10.0
#: What may differ between an early and a late part of the run: a share, or so much for the noise of the allocator.
GROWTH_SHARE, GROWTH_MB = 0.02, 3.0
#: What may be left at the end: gevent's pool of ten threads grows as it is used; a database connection stays open.
LEFT = {"threads": 12, "descriptors": 8, "greenlets": 15}
COLUMNS = ("seconds", "memory_mb", "descriptors", "threads", "greenlets", "objects", "roster")


class Watch:
    """What the server holds, looked at from outside and through its census page."""

    def __init__(self, pid, port):
        self._pid = pid
        self._url = f"http://127.0.0.1:{port}/census"
        self._began = time.monotonic()
        self.looks = []

    def look(self):
        """Look once, print it, and keep it."""
        with urllib.request.urlopen(self._url, timeout=60) as answer:
            census = json.load(answer)
        seen = {
            "seconds": time.monotonic() - self._began,
            "memory_mb": processes.resident(self._pid) / 1e6,
            "descriptors": processes.descriptors(self._pid),
            "threads": processes.threads(self._pid),
            **census,
        }
        print("  " + "  ".join(f"{seen[column]:>11,.0f}" for column in COLUMNS), flush=True)
        self.looks.append(seen)
        return seen

    def until_empty(self):
        """Wait until the roster is empty, or should have been; return the last look."""
        end = time.monotonic() + EMPTY_AFTER
        while (seen := self.look())["roster"] and time.monotonic() < end:
            time.sleep(1)
        return seen


def soak(place, minutes):
    """Run it; return (what was seen before, during and after, the load's own result)."""
    port = free_port()
    server = servers(place, port)["ours-soak"]
    scenario = SCENARIOS["mixed"]._replace(seconds=minutes * 60)
    command = swarm_command(place, server, port, scenario, disturbed=False)
    with serving(place, server, port, SERVER_CPU) as process:
        watch = Watch(process.pid, port)
        print("  " + "  ".join(f"{column.replace('_', ' '):>11}" for column in COLUMNS))
        before = watch.look()
        during = watch.looks = []
        with (
            Load(command, process.pid) as load,
            processes.Sampler(watch.look, max(LEAST_INTERVAL, minutes * 60 / LOOKS)),
        ):
            result = load.run()
        watch.looks = []
        return before, during, watch.until_empty(), result


def judge(before, during, after, result):
    """(what was asked, what was found, whether it is well) for each question."""
    full = [look for look in during if look["roster"] >= 0.8 * SCENARIOS["mixed"].connections]
    yield from (flat(full, figure, least) for figure, least in (("memory_mb", GROWTH_MB), ("objects", 5000)))
    for figure, spare in LEFT.items():
        found = f"{before[figure]} before, {after[figure]} after"
        yield f"{figure} given back", found, after[figure] <= before[figure] + spare
    yield "roster empty at the end", f"{after['roster']} left", not after["roster"]
    lost = {key: result[key] for key in (*LOST, "acks_missing", "errors") if result[key]}
    heard = f"{result['deliveries']:,} deliveries, {result['leaves']:,} left, {result['joins']:,} came back"
    yield "nothing lost", f"{heard}, {lost or 'none lost'}", not lost


def flat(looks, figure, least):
    """Whether the figure's median in the last fifth of the run is that of the second fifth, but for a little."""
    fifth = len(looks) // 5
    if not fifth:
        return f"{figure} flat", "too short a run to tell", False
    early = statistics.median(look[figure] for look in looks[fifth : 2 * fifth])
    late = statistics.median(look[figure] for look in looks[-fifth:])
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
            found = list(judge(*soak(place, options.minutes)))
    except (install.CannotMeasure, ServerFailed, LoadFailed) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("\nStopped.")
    print(f"\nA soak of {options.minutes:g} minutes:")
    print(*aligned([[what, seen, "well" if well else "BAD"] for what, seen, well in found]), sep="\n")
    sys.exit(0 if all(well for _, _, well in found) else 1)


if __name__ == "__main__":
    main()
