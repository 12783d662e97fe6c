"""The bench's own arithmetic: ratios, goals, warnings, comparisons of quick runs, the verdict of a soak, and charts."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import charts, machine, quick, report, soak
from bench.scenarios import ALL_SERVERS, SCENARIOS, Goal, Scenario
from bench.servers import list_paths, servers
from bench.workspace import Workspace

WORKSPACE = Workspace(Path("competitors"), Path("project"), Path("scratch"))
KNOWN = servers(WORKSPACE, 1)
CALM = {
    "load_cpu": 0.5,
    "connect_load_cpu": 0.5,
    "load_wait": 0.0,
    "server_wait": 0.0,
    "turn_p99_ms": 0.1,
    "dead": 0,
    "missing": 0,
    "errors": 0,
}


def scenario(**extra):
    return Scenario("a test", ("p99_ms",), connections=10, **extra)


@pytest.mark.parametrize("one", SCENARIOS.values(), ids=SCENARIOS)
def test_every_scenario_can_be_run_and_shown(one):
    assert set(one.servers) <= set(KNOWN)
    assert set(one.figures) <= set(report.FIGURES)
    stayers = one.connections - one.churners - one.slow
    assert one.senders <= stayers
    assert bool(one.senders) == bool(one.rate or one.in_flight)
    assert all(goal.sense in "≥≤" for goal in one.goals)


def test_socketio_clients_bring_a_token_where_the_server_wants_one(monkeypatch):
    monkeypatch.setattr("bench.servers.ours_tokens", lambda workspace, names: [f"<{name}>" for name in names])
    first = {name: list_paths(WORKSPACE, KNOWN[name])[0] for name in ("ours-io", "socket.io")}
    assert first == {
        "ours-io": '/socket.io/?EIO=4&transport=websocket\t{"token":"<user00000>"}',
        "socket.io": "/socket.io/?EIO=4&transport=websocket&u=user00000",
    }
    assert {name for name, server in KNOWN.items() if server.socketio} == {*first, "flask-socketio"}


def test_a_goal_is_a_ratio_to_another_server_or_an_absolute_figure():
    rows = {"ours": {"p99_ms": 3.0}, "seed": {"p99_ms": 6.0}}
    goals = (Goal("p99_ms", "≤", 0.5, "seed"), Goal("p99_ms", "≤", 2), Goal("p99_ms", "≤", 1, "bun"))
    reached = [(value, met) for _, value, met in report.goals(scenario(goals=goals), rows)]
    assert reached == [(0.5, True), (3.0, False), (None, False)]


def test_a_goal_is_that_of_the_server_it_names_and_of_nobody_who_stayed_away():
    goals = (Goal("p99_ms", "≤", 5), Goal("p99_ms", "≤", 1, "socket.io", of="ours-io"))
    rows = {"ours-io": {"p99_ms": 2.0}, "socket.io": {"p99_ms": 4.0}}
    assert report.goals(scenario(goals=goals), rows) == [(goals[1], 0.5, True)]
    assert list(report.goal_lines(scenario(goals=goals), rows)) == [
        "    goal of ours-io: p99 ms ≤ 1 × socket.io: 0.5, met"
    ]


def test_a_disturbed_run_is_compared_with_its_own_quiet_one():
    rows = {"ours quiet": {"p99_ms": 2.0}, "ours": {"p99_ms": 3.0}, "bun quiet": {"p99_ms": 9.0}}
    goals = (Goal("p99_ms", "≤", 1.5, "quiet"),)
    assert report.goals(scenario(goals=goals), rows) == [(goals[0], 1.5, True)]
    table = report.table("slow", scenario(), rows)
    assert [line.split() for line in table[2:]] == [
        ["ours", "quiet", "2.00"],
        ["ours", "3.00", "1.50"],
        ["bun", "quiet", "9.00"],
    ]


def test_a_figure_that_a_round_lacks_has_no_median():
    assert report.medians([{"a": 1, "b": 1}, {"a": 3}, {"a": 2}]) == {"a": 2}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"load_cpu": 0.99}, "bottleneck"),
        ({"server_wait": 0.3}, "core of the server 30%"),
        ({"turn_p99_ms": 40}, "late by 40 ms"),
        ({"dead": 2}, "2 dead"),
    ],
)
def test_what_spoils_a_row_is_said_beside_it(row, said):
    (line,) = report.warnings(scenario(rate=10), {"ours": {**CALM, **row}})
    assert said in line


def test_a_calm_row_needs_no_warning():
    assert not list(report.warnings(scenario(rate=10), {"ours": CALM}))


# ---- quick runs ---------------------------------------------------------------------------------------------------

BEFORE = {
    "fanout": {"deliveries_per_s": 20.0, "cpu_us_per_delivery": 0.05},
    "idle": {"kb_per_conn": 0.16},
}
LAST = {"made": "2026-01-02T03:04:05+00:00", "version": "abc1234", "machine": {}, "ratios": BEFORE}


@pytest.mark.parametrize("name", quick.PLANS)
def test_quick_compares_figures_that_ours_and_the_seed_have(name):
    assert quick.SEED in SCENARIOS[name].servers
    assert SCENARIOS[name].servers[0].startswith("ours")
    assert set(quick.PLANS[name].figures) <= set(report.FIGURES)


def test_quick_divides_our_figures_by_the_seeds():
    rows = {"ours-stored": {"p99_ms": 3.0, "p50_ms": 1.0}, "seed": {"p99_ms": 6.0, "p50_ms": 0}}
    assert quick.ratios(rows, ("p99_ms", "p50_ms", "max_ms")) == {"p99_ms": 0.5}


@pytest.mark.parametrize(
    ("scenario", "figure", "now", "verdict"),
    [
        ("fanout", "deliveries_per_s", 18.3, ""),
        ("fanout", "deliveries_per_s", 18.1, "WORSE"),
        ("fanout", "deliveries_per_s", 22.1, "better"),
        ("fanout", "cpu_us_per_delivery", 0.054, ""),
        ("fanout", "cpu_us_per_delivery", 0.056, "WORSE"),
        ("idle", "kb_per_conn", 0.14, "better"),
        ("idle", "connect_per_s", 0.1, ""),  # the run before has none
        ("durable", "p99_ms", 9.0, ""),
    ],
)
def test_a_ratio_is_worse_when_it_changed_by_more_than_a_tenth(scenario, figure, now, verdict):
    (change,) = quick.compare({scenario: {figure: now}}, BEFORE)
    assert change.verdict == verdict
    assert quick.worse([change]) == ([change] if verdict == "WORSE" else [])


def test_quick_names_what_got_worse_and_since_when():
    changes = quick.compare({"fanout": {"deliveries_per_s": 15.0}, "idle": {"kb_per_conn": 0.16}}, BEFORE)
    first, other_machine = quick.conclusion(changes, LAST)
    assert first == "WORSE since 2026-01-02 (abc1234): fanout, deliveries/s: 15 × seed, before 20."
    assert "another machine" in other_machine
    calm = quick.conclusion(changes[1:], LAST | {"machine": machine.describe()})
    assert list(calm) == ["No ratio got worse by more than a tenth since 2026-01-02 (abc1234)."]
    assert "No run is kept" in next(quick.conclusion(changes, None))


def test_quick_shows_both_figures_their_ratio_and_the_one_before():
    medians = {"fanout": {"ours": {"deliveries_per_s": 3000.0}, "seed": {"deliveries_per_s": 200.0}}}
    _, row = quick.table(quick.compare({"fanout": {"deliveries_per_s": 15.0}}, BEFORE), medians)
    assert row.split() == ["fanout", "deliveries/s", "3,000", "200", "15", "20", "+33%", "WORSE"]


class Played(quick.Run):
    """A run that takes its rounds' results from a list, instead of measuring."""

    def __init__(self, results):
        super().__init__(None, {"idle": {"kb_per_conn": 0.5}})
        self.results = results

    def _measure(self, server, scenario):
        return {"kb_per_conn": self.results.pop(0)}


@pytest.mark.parametrize(
    ("results", "ratio"),
    [([1.0, 2.0], 0.5), ([2.0, 2.0, 1.0, 2.0], 0.75), ([2.0, 2.0, 2.0, 2.0], 1.0)],
    ids=["calm", "once", "worse"],
)
def test_a_scenario_whose_ratio_got_worse_is_measured_again(results, ratio):
    run = Played(results)
    run.measure("idle")
    assert run.results == []
    assert run.ratios() == {"idle": {"kb_per_conn": ratio}}


# ---- charts -------------------------------------------------------------------------------------------------------


def kept(figure):
    rows = {name: {figure: place + 1.0} for place, name in enumerate(ALL_SERVERS)}
    return {
        "made": "2026-01-02T03:04:05+00:00",
        "rounds": 3,
        "machine": {"cpu": "a <fast> one"},
        "titles": {name: server.title for name, server in KNOWN.items()},
        "scenarios": {"fanout": {"medians": rows}},
    }


def test_a_chart_is_xml_with_a_labelled_bar_a_server_in_both_themes(tmp_path):
    files = charts.draw_all(kept("deliveries_per_s"), tmp_path)
    assert [file.name for file in files] == ["bench-fanout-light.svg", "bench-fanout-dark.svg"]
    for file in files:
        words = "".join(ElementTree.parse(file).getroot().itertext())
        assert file.read_text().count("<rect") == len(ALL_SERVERS)
        assert all(KNOWN[name].title in words for name in ALL_SERVERS)
        assert "a <fast> one" in words


def sample(roster=2000, **extra):
    return (
        {"memory_mb": 100, "objects": 9000, "threads": 3, "descriptors": 20, "greenlets": 4}
        | extra
        | {"roster": roster}
    )


def result(**extra):
    counts = ("group_missing", "group_twice", "out_of_order", "direct_missing", "direct_strayed", "dead")
    return dict.fromkeys((*counts, "acks_missing", "errors", "deliveries", "leaves", "joins"), 0) | extra


def bad(during, after, load):
    return [what for what, _, ok in soak.checks(sample(roster=0), during, after, load) if not ok]


def test_a_soak_that_releases_everything_passes():
    assert not bad([sample()] * 20, sample(roster=0), result())


def test_a_soak_tells_what_grew_what_stayed_and_what_got_lost():
    growing = [sample(memory_mb=100 + place) for place in range(20)]
    assert bad(growing, sample(roster=1, descriptors=60), result(direct_missing=1)) == [
        "memory_mb flat",
        "descriptors released",
        "roster empty at the end",
        "nothing lost",
    ]
