"""Medians, the printed table, the goals and whether they are met, and the result file."""

import json
import statistics
from typing import NamedTuple


class Figure(NamedTuple):
    heading: str
    digits: int
    compared: bool = True  # whether its ratios are formatted


FIGURES = {
    "deliveries_per_s": Figure("deliveries/s", 0),
    "cpu_us_per_delivery": Figure("CPU µs/delivery", 3),
    "p50_ms": Figure("p50 ms", 2),
    "p99_ms": Figure("p99 ms", 2),
    "max_ms": Figure("max ms", 1, False),
    "kb_per_conn": Figure("KB/connection", 2),
    "connect_per_s": Figure("connections/s", 0),
    "cpu_us_per_conn": Figure("CPU µs/connection", 0),
    "cpu_share": Figure("CPU share", 3),
    "boot_mb": Figure("MB to join", 1),
    "push_mb": Figure("MB of rosters pushed", 1, False),
    "push_mb_per_s": Figure("worst second", 1, False),
    "grown_mb": Figure("memory grown MB", 1),
    "slow_closed": Figure("closed", 0, False),
    "slow_told_4408": Figure("told 4408", 0, False),
    "slow_after_s": Figure("after s", 1, False),
    "logins_per_s": Figure("log-ins/s", 1, False),
    "pages_per_s": Figure("pages/s", 1, False),
    "deliveries": Figure("deliveries", 0, False),
    "missing": Figure("missing", 0, False),
    "commit_ms": Figure("ms a commit", 2, False),
    "commit_messages": Figure("messages a commit", 1, False),
    "fsync_ms": Figure("ms a plain fdatasync", 2, False),
    "dead": Figure("died", 0, False),
}
QUIET = " quiet"
BASES = ("seed", "seed+roster", "bun")
#: The load is the bottleneck when it uses this share of its core, or when a paced load is this late (ms).
LOAD_LIMIT = 0.95
LATE_MS = 10.0
#: Something else ran on the core when a process waited for it more than this share of the time.
NOISE = 0.05


def medians(runs):
    """Return the median over the rounds of each figure that every round has."""
    shared = [key for key in runs[0] if all(key in run for run in runs)]
    return {key: statistics.median(run[key] for run in runs) for key in shared}


def ratio(rows, name, figure, base):
    """Return the figure of `name` divided by that of `base`; None if one is missing or the divisor is zero."""
    mine, other = rows.get(name, {}).get(figure), rows.get(base, {}).get(figure)
    return mine / other if mine is not None and other else None


def bases(rows):
    """Return the rows that the others are compared with."""
    if any(name.endswith(QUIET) for name in rows):
        return [QUIET.strip()]
    return [name for name in BASES if name in rows]


def table(name, scenario, rows):
    """Return the lines of a scenario's table: one row per server, each figure with its ratios."""
    compared = bases(rows)
    head = [""]
    for figure in scenario.figures:
        head += [FIGURES[figure].heading, *(f"×{base}" for base in compared if FIGURES[figure].compared)]
    lines = [head, *([server, *cells(scenario, rows, server, compared)] for server in rows)]
    return [f"\n{name}: {scenario.about}", *aligned(lines)]


def cells(scenario, rows, server, compared):
    for figure in scenario.figures:
        yield formatted(figure, rows[server].get(figure))
        for base in compared if FIGURES[figure].compared else ():
            against = server.removesuffix(QUIET) + QUIET if base == QUIET.strip() else base
            value = None if server == against else ratio(rows, server, figure, against)
            yield "" if value is None else f"{value:.2f}"


def formatted(figure, value):
    return "–" if value is None else f"{value:,.{FIGURES[figure].digits}f}"


def aligned(lines):
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for first, *rest in lines:
        yield f"  {first:{widths[0]}}" + "".join(
            f"  {cell:>{width}}" for cell, width in zip(rest, widths[1:], strict=True)
        )


def goals(scenario, rows):
    """Return (goal, value or None, whether it is met) for each goal of a measured server."""
    return [reached(goal, rows) for goal in scenario.goals if goal.of in rows]


def reached(goal, rows):
    if not goal.against:
        value = rows[goal.of].get(goal.figure)
    else:
        against = goal.of + QUIET if goal.against == "quiet" else goal.against
        value = ratio(rows, goal.of, goal.figure, against)
    met = value is not None and (value >= goal.limit if goal.sense == "≥" else value <= goal.limit)
    return goal, value, met


def goal_lines(scenario, rows):
    for goal, value, met in goals(scenario, rows):
        what = FIGURES[goal.figure].heading if goal.figure in FIGURES else goal.figure.replace("_", " ")
        whose = "" if goal.of == "ours" else f" of {goal.of}"
        against = f" × {goal.against}" if goal.against else ""
        got = "not measured" if value is None else f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"
        verdict = "–" if value is None else "met" if met else "MISSED"
        yield f"    goal{whose}: {what} {goal.sense} {goal.limit:.3g}{against}: {got}, {verdict}"


def warnings(scenario, rows):
    """Yield what makes a row doubtful: the load at its limit, other processes on the core, lost messages."""
    for name, row in rows.items():
        share = row["connect_load_cpu" if "connect_per_s" in scenario.figures else "load_cpu"]
        if share > LOAD_LIMIT:
            yield f"    {name}: the load used {share:.0%} of its core: the load is the bottleneck, not the server"
        if scenario.rate and row["turn_p99_ms"] > LATE_MS:
            yield f"    {name}: the load itself was late by {row['turn_p99_ms']:.0f} ms: latencies are too high"
        for who in ("load", "server"):
            if row[f"{who}_wait"] > NOISE:
                share = row[f"{who}_wait"]
                yield f"    {name}: something else ran on the core of the {who} {share:.0%} of the time"
        if row["dead"] or row["missing"] or row["errors"]:
            lost = ", ".join(f"{row[key]:.0f} {key}" for key in ("dead", "missing", "errors"))
            yield f"    {name}: connections and deliveries were lost: {lost}"


def write(path, kept):
    """Write a result file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
