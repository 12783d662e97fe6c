"""Run chat servers one after another under the same load, and print a table that compares them: `make bench`.

Each server runs on one core, the load on another. The servers are measured in turn, round by round. The table shows
medians, and ratios to the original Node server (seed) and to Bun.
"""

import argparse
import datetime
import signal
import sys
from pathlib import Path

from bench import charts, cluster, install, machine, report
from bench.hostile.__main__ import main as hostile
from bench.measure import LoadFailed, measure
from bench.scenarios import SCENARIOS
from bench.servers import ServerFailed, servers
from bench.workspace import INSTALLED, PROJECT, RESULTS, open_workspace

#: Rounds that a run needs at least to redraw the README's charts.
MIN_CHART_ROUNDS = 3


def arguments():
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="scenario", help=f"{', '.join(SCENARIOS)}; none: all")
    parser.epilog = "`cluster` alone measures several workers, `hostile` alone what an abusive client costs."
    parser.add_argument("--only", default="", help="measure only these servers, comma-separated")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", type=Path, default=INSTALLED, help="where the other servers are installed")
    parser.add_argument("--no-results", action="store_true", help="do not write a result file")
    options = parser.parse_args()
    unknown = [name for name in options.scenarios if name not in SCENARIOS]
    if unknown or options.rounds < 1:
        parser.error(f"no such scenario: {', '.join(unknown)}" if unknown else "at least one round")
    options.scenarios = options.scenarios or list(SCENARIOS)
    return options


class Run:
    """Measures scenarios one after another, and collects the result file's content in `kept`."""

    def __init__(self, place, options):
        self._place = place
        self._options = options
        self._known = servers(place, 1)
        self._failed = set()
        self.kept = {
            "made": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
            "rounds": options.rounds,
            "machine": machine.describe(),
            "versions": machine.versions(place),
            "titles": {name: server.title for name, server in self._known.items()},
            "scenarios": {},
        }

    def scenario(self, name):
        """Measure one scenario in all rounds, and print its table."""
        scenario = SCENARIOS[name]
        runs = {}
        for number in range(self._options.rounds):
            for server in self._available(scenario):
                self._measure(runs, server, scenario, f"{name} {number + 1}/{self._options.rounds}")
        rows = {label: report.medians(measured) for label, measured in runs.items()}
        self.kept["scenarios"][name] = {"about": scenario.about, "medians": rows, "rounds": runs}
        if rows:
            print(*report.table(name, scenario, rows), sep="\n")
            print(*report.goal_lines(scenario, rows), *report.warnings(scenario, rows), sep="\n", flush=True)

    def _available(self, scenario):
        """Return the scenario's servers that are installed and have not failed; report a missing one once."""
        only = self._options.only.split(",") if self._options.only else scenario.servers
        wanted = [name for name in scenario.servers if name in only]
        for name in wanted:
            if name not in self._failed and not self._known[name].needs.exists():
                self._skip(name, "it is not installed")
        return [name for name in wanted if name not in self._failed]

    def _skip(self, name, why):
        self._failed.add(name)
        print(f"\n*** {name} is skipped: {why} ***\n", file=sys.stderr)

    def _measure(self, runs, name, scenario, where):
        for disturbed in (False, True) if scenario.disturbance else (False,):
            label = name + report.QUIET if scenario.disturbance and not disturbed else name
            print(f"  {where} {label}", file=sys.stderr)
            try:
                result = measure(self._place, name, scenario, disturbed)
            except (ServerFailed, LoadFailed) as error:
                self._skip(name, str(error))
                return
            runs.setdefault(label, []).append(result)

    @property
    def ours_failed(self):
        return any(name.startswith("ours") for name in self._failed)


def keep(run, options):
    """Write the result file, and the charts if the run had all servers and enough rounds."""
    names = "-".join(options.scenarios) if len(options.scenarios) < len(SCENARIOS) else "all"
    path = RESULTS / f"{names}-{run.kept['made'][:10]}.json"
    report.write(path, run.kept)
    print(f"\nKept in {path.relative_to(PROJECT)}")
    if options.only or options.rounds < MIN_CHART_ROUNDS:
        print(f"The charts are not redrawn: they need all servers and {MIN_CHART_ROUNDS} rounds.")
        return
    for file in charts.draw_all(run.kept):
        print(f"Drawn: {file.relative_to(PROJECT)}")


def main():
    if sys.argv[1:2] == ["cluster"]:
        return cluster.main(sys.argv[2:])
    if sys.argv[1:2] == ["hostile"]:
        return hostile(sys.argv[2:])
    options = arguments()
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit("Stopped.")
    )  # so that the servers and the load are stopped too
    try:
        with open_workspace(options.dir.resolve()) as place:
            run = Run(place, options)
            for name in options.scenarios:
                run.scenario(name)
    except install.CannotMeasure as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("\nStopped.")
    if not options.no_results:
        keep(run, options)
    sys.exit(1 if run.ours_failed else 0)


if __name__ == "__main__":
    main()
