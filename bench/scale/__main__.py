"""Prints the tables of docs/scale.md: `python -m bench.scale [section …]`. About half a minute of one busy core."""

import argparse
from dataclasses import replace

from bench.scale import capacity
from bench.scale.closed import means, shares
from bench.scale.loads import LOADS, PACED, REGION
from bench.scale.outcome import play
from bench.scale.storm import STORMS, course

#: The measured figures: bench/results/all-2026-11-23.json, paced, ours.
MEASURED = {"CPU, percent of a core": 38.2, "p50 ms": 2.05, "p99 ms": 4.59}


def main():
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("sections", nargs="*", help=f"of {', '.join(SECTIONS)}; all without any")
    chosen = parser.parse_args().sections or list(SECTIONS)
    if unknown := set(chosen) - set(SECTIONS):
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    for section in chosen:
        for line in SECTIONS[section]():
            print(line, flush=True)
        print()


def check():
    """Compare the simulation with a measurement."""
    found = play(PACED, PACED.rates[0])
    simulated = (100 * found.used["worker"], found.p50, found.p99)
    rows = [
        (name, f"{measured:.2f}", f"{value:.2f}")
        for (name, measured), value in zip(MEASURED.items(), simulated, strict=True)
    ]
    return table(("paced: 500 clients, 100 messages/s, one worker", "measured", "simulated"), rows)


def holds():
    """Print the capacity of one worker, one machine, and what all share."""
    for title, rows in (
        ("one worker", capacity.worker()),
        ("one machine of 8 workers and 10 Gbit/s", capacity.machine()),
        ("shared by all workers", capacity.region()),
    ):
        yield from table((title, "computed"), [(name, short(value)) for name, value in rows])
        yield ""


def million():
    """Print the cost of a million idle connections."""
    columns = {machines: capacity.million(machines) for machines in (4, 8, 16, 32)}
    names = [name for name, _ in columns[4]]
    rows = [(name, *(small(rows[place][1]) for rows in columns.values())) for place, name in enumerate(names)]
    return table(("a million idle connections on", *(f"{count} machines" for count in columns)), rows)


def simulated(name):
    """Print one load at growing rates: the closed form for a worker, then the simulation."""
    load = LOADS[name]
    found = means(load)
    machines, stores = counted(load.machines, "machine"), counted(load.stores, "store")
    yield (
        f"{load.title}: {load.connections:,} connections, {load.workers} workers on {machines},"
        f" {load.brokers} Redis, {stores};"
        f" each message has {found.members:,.0f} receivers on {found.workers_reached:.1f} workers."
    )
    yield ""
    rows = [row(play(load, rate), shares(load, rate)) for rate in load.rates]
    yield from table(COLUMNS, rows)


COLUMNS = (
    "messages/s", "deliveries/s", "worker, by division", "worker", "network", "Redis", "store", "disk", "room lock",
    "p50 ms", "p99 ms", "busiest",
)  # fmt: skip


def row(outcome, closed):
    used = [
        f"{outcome.used[name]:.0%}" for name in ("worker", "network", "Redis", "store", "disk", "room lock")
    ]
    late = ", rising" if outcome.rising else ""
    return (
        f"{outcome.rate:,}",
        short(outcome.deliveries),
        f"{closed['worker']:.0%}",
        *used,
        f"{outcome.p50:.1f}",
        f"{outcome.p99:.1f}{late}",
        outcome.busiest,
    )


def store_checks():
    """Print the effect of the store check on the largest site, by leaving out its cost per changed room."""
    free = replace(REGION, costs=replace(REGION.costs, worker_check_row=0.0, check_row=0.0))
    rows = []
    for rate in REGION.rates[-1:]:
        found = [play(load, rate) for load in (REGION, free)]
        rows.append((f"{rate:,}", *(f"{one.p50:.1f} / {one.p99:.1f}" for one in found)))
    return table(("messages/s", "p50 / p99 ms", "if rows of a store check cost nothing"), rows)


def storms():
    """Print what happens when many clients reconnect at once."""
    rows = []
    for storm in STORMS:
        went = course(storm)
        seconds = (f"{value:.1f}" for value in (went.by_division, went.work, went.half, went.most, went.all))
        rows.append((storm.title, *seconds, f"{went.wasted:,}", f"{went.attempts:.2f}"))
    return table(
        (
            "clients that reconnect to one machine of 8 workers",
            "by division, s",
            "work, s",
            "half connected",
            "99 %",
            "all",
            "accepted too late",
            "attempts each",
        ),
        rows,
    )


def table(heads, rows):
    """Yield the lines of a Markdown table."""
    yield "| " + " | ".join(heads) + " |"
    yield "| --- |" + " ---: |" * (len(heads) - 1)
    for cells in rows:
        yield "| " + " | ".join(cells) + " |"


def short(value):
    """Format a figure with its significant digits."""
    if value >= 999_500:
        return f"{value / 1e6:.1f} M"
    return (
        f"{value / 1e3:,.0f},000" if value >= 99_500 else f"{round(value, -1 if value >= 1_000 else 0):,.0f}"
    )


def counted(count, what):
    return f"{count} {what}" + "s" * (count > 1)


def small(value):
    return f"{value:.2f}" if value < 10 and value != int(value) else short(value)


SECTIONS = {
    "check": check,
    "holds": holds,
    **{name: lambda name=name: simulated(name) for name in LOADS},
    "store-checks": store_checks,
    "storms": storms,
    "idle": million,
}

if __name__ == "__main__":
    main()
