"""Measure six scenarios against the original Node server in four minutes, and compare with the last kept run.

`make quick`. Compared are the ratios to the seed, because absolute figures depend on the machine and on what else runs
there. A ratio that got worse by more than a tenth is measured again before it counts. The exit code is 1 where such a
ratio remains, or where something could not be measured. With `--keep`, later runs are compared with this one.
"""

import argparse
import datetime
import json
import signal
import sys
from typing import NamedTuple

from bench import install, machine, report
from bench.measure import LoadFailed, measure
from bench.scenarios import SCENARIOS
from bench.servers import ServerFailed, servers
from bench.workspace import PROJECT, RESULTS, open_workspace

#: All kept runs, the newest last.
KEPT = RESULTS / "quick.json"
SEED = "seed"
#: Figures of which more is better; of all others less is.
MORE_IS_BETTER = {"deliveries_per_s", "connect_per_s"}
#: A ratio is worse, or better, than before when it has changed by more than this factor.
TOLERATED = 1.1


class Plan(NamedTuple):
    """How a scenario is measured here: which figures are compared, in how many rounds of how many seconds."""

    figures: tuple[str, ...]
    rounds: int = 2
    seconds: float = 3


PLANS = {
    "fanout": Plan(("deliveries_per_s", "cpu_us_per_delivery")),
    "wide": Plan(("deliveries_per_s", "cpu_us_per_delivery")),
    "paced": Plan(("p50_ms", "p99_ms", "cpu_us_per_delivery")),
    "idle": Plan(("kb_per_conn",), rounds=1, seconds=2),
    "connect": Plan(("connect_per_s", "cpu_us_per_conn"), seconds=0.5),
    "durable": Plan(("deliveries_per_s", "cpu_us_per_delivery", "p99_ms")),
}


class Change(NamedTuple):
    """One ratio to the seed, now and in the run before; `before` is None where that run has no such ratio."""

    scenario: str
    figure: str
    now: float
    before: float | None

    @property
    def factor(self):
        """By which factor the ratio got worse: above 1 worse, below 1 better; None where there is none before."""
        if not self.before:
            return None
        return self.before / self.now if self.figure in MORE_IS_BETTER else self.now / self.before

    @property
    def verdict(self):
        if self.factor is None:
            return ""
        return "WORSE" if self.factor > TOLERATED else "better" if self.factor < 1 / TOLERATED else ""


def ratios(rows, figures):
    """{figure: ours divided by the seed's} of a scenario's medians; figures without a ratio are left out."""
    ours = next(name for name in rows if name != SEED)
    found = {figure: report.ratio(rows, ours, figure, SEED) for figure in figures}
    return {figure: value for figure, value in found.items() if value}


def compare(now, before):
    """The Change of every ratio in `now`; both are {scenario: {figure: ratio}}."""
    return [
        Change(scenario, figure, value, before.get(scenario, {}).get(figure))
        for scenario, found in now.items()
        for figure, value in found.items()
    ]


def worse(changes):
    return [change for change in changes if change.verdict == "WORSE"]


class Run:
    """The quick scenarios, measured one after the other and compared with the ratios of the run before."""

    def __init__(self, place, before):
        self._place = place
        self._before = before
        self._rounds = {}
        #: {scenario: {server: medians}}
        self.medians = {}

    def measure(self, name):
        """Measure a scenario in its rounds, and once more where a ratio got worse."""
        for number in range(PLANS[name].rounds):
            self._round(name, f"{number + 1}/{PLANS[name].rounds}")
        if worse(compare({name: self._ratios(name)}, self._before)):
            self._round(name, "again")

    def warnings(self):
        """What a reader must know before believing a scenario's figures."""
        for name, rows in self.medians.items():
            for line in report.warnings(SCENARIOS[name], rows):
                yield f"  {name}, {line.strip()}"

    def ratios(self):
        return {name: self._ratios(name) for name in self.medians}

    def _ratios(self, name):
        return ratios(self.medians[name], PLANS[name].figures)

    def _round(self, name, label):
        scenario = SCENARIOS[name]._replace(seconds=PLANS[name].seconds)
        rounds = self._rounds.setdefault(name, {})
        for server in (scenario.servers[0], SEED):
            print(f"  {name} {label} {server}", file=sys.stderr)
            rounds.setdefault(server, []).append(self._measure(server, scenario))
        self.medians[name] = {server: report.medians(results) for server, results in rounds.items()}

    def _measure(self, server, scenario):
        return measure(self._place, server, scenario)


def table(changes, medians):
    """The lines of the printed table: a row a ratio."""
    lines = [["", "", "ours", "seed", "ratio", "before", "worse by", ""]]
    for change in changes:
        ours, seed = (row.get(change.figure) for row in medians[change.scenario].values())
        lines.append(
            [
                change.scenario,
                report.FIGURES[change.figure].heading,
                report.formatted(change.figure, ours),
                report.formatted(change.figure, seed),
                f"{change.now:.3g}",
                "–" if change.before is None else f"{change.before:.3g}",
                "–" if change.factor is None else f"{change.factor - 1:+.0%}",
                change.verdict,
            ]
        )
    return report.aligned(lines)


def conclusion(changes, last):
    """The sentences under the table: what got worse since the last kept run."""
    if last is None:
        yield "No run is kept yet: `make quick ARGS=--keep` keeps one to compare with."
        return
    since = f"since {last['made'][:10]} ({last['version']})"
    found = worse(changes)
    if not found:
        yield f"No ratio got worse by more than a tenth {since}."
    for change in found:
        heading = report.FIGURES[change.figure].heading
        yield f"WORSE {since}: {change.scenario}, {heading}: {change.now:.3g} × seed, before {change.before:.3g}."
    if last["machine"] != machine.describe():
        yield "The run before was made on another machine or Python: even its ratios compare only roughly."


def read_kept():
    """All kept runs, the oldest first."""
    return json.loads(KEPT.read_text()) if KEPT.exists() else []


def keep(run, kept):
    made = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    figures = {
        name: {
            server: {figure: row.get(figure) for figure in PLANS[name].figures}
            for server, row in rows.items()
        }
        for name, rows in run.medians.items()
    }
    new = {
        "made": made,
        "version": machine.revision(PROJECT),
        "machine": machine.describe(),
        "ratios": run.ratios(),
        "figures": figures,
        "warnings": [line.strip() for line in run.warnings()],
    }
    report.write(KEPT, [*kept, new])
    print(f"Kept in {KEPT.relative_to(PROJECT)}.")


def arguments():
    parser = argparse.ArgumentParser(prog="make quick ARGS=…", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="scenario", help=f"of {', '.join(PLANS)}; none: all")
    parser.add_argument("--keep", action="store_true", help="compare later runs with this one")
    options = parser.parse_args()
    if unknown := set(options.scenarios) - set(PLANS):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    if options.keep and options.scenarios:
        parser.error("only a run of all scenarios can be kept")
    return options


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))  # so that servers and load end with it
    kept = read_kept()
    last = kept[-1] if kept else None
    try:
        with open_workspace() as place:
            if not servers(place, 1)[SEED].needs.exists():
                sys.exit(
                    "The seed is not installed, so there is nothing to compare with: it needs node and npm."
                )
            run = Run(place, last["ratios"] if last else {})
            for name in options.scenarios or PLANS:
                run.measure(name)
    except (install.CannotMeasure, ServerFailed, LoadFailed) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("\nStopped.")
    changes = compare(run.ratios(), last["ratios"] if last else {})
    print(*table(changes, run.medians), *run.warnings(), "", *conclusion(changes, last), sep="\n")
    if options.keep:
        keep(run, kept)
    sys.exit(1 if worse(changes) else 0)


if __name__ == "__main__":
    main()
