"""What the simulation behind docs/scale.md is fed with: the code's own constants, and what the bench has measured."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from bench.scale import costs, site, storm, worker
from bench.scale.costs import MEASURED
from bench.scale.loads import CROWD, PACED, over_socketio
from bench.scale.outcome import play
from chat.cluster import heartbeat, presence_publisher
from chat.config import Settings
from chat.rooms import group_commit, sweeper
from chat.wire.codec import NATIVE
from chat.wire.envelope import Envelope, Identity

ROOT = Path(__file__).parents[2]


def test_constants_are_those_of_the_code():
    settings = {field.name: field.default for field in fields(Settings)}
    assert worker.MAX_BATCH == group_commit.MAX_BATCH
    assert sweeper.SLICE == site.SLICE
    assert settings["ping_interval"] == site.PING
    assert presence_publisher.MAX_VERSIONS == site.MAX_VERSIONS
    assert settings["worker_lease"] / heartbeat.BEATS_PER_LEASE == site.HEARTBEAT
    assert re.search(r"^backlog = (\d+)", (ROOT / "gunicorn.conf.py").read_text(), re.MULTILINE)[1] == str(
        storm.BACKLOG
    )
    pages = ROOT / "chat/static/js"
    assert f"CONNECT_TIMEOUT = {storm.CONNECT_TIMEOUT:.0f}_000;" in (pages / "connection.js").read_text()
    lost = f'LOST = {{ act: "retry", why: "lost", base: {storm.BASE * 1e3:.0f}, cap: {storm.CAP:.0f}_000 }}'
    assert lost in (pages / "close_codes.js").read_text()


def test_costs_of_a_write_are_those_of_the_benchs_results():
    fanout, wide, crowd = (medians("all-2026-11-23", name) for name in ("fanout", "wide", "crowd"))
    frame = (write_us(wide) - write_us(fanout)) / (wide["frames_per_read"] - fanout["frames_per_read"])
    assert MEASURED.frame == pytest.approx(frame, rel=0.02)
    assert MEASURED.send == pytest.approx(write_us(crowd) - crowd["frames_per_read"] * frame, rel=0.02)
    direct = medians("all-2026-11-23", "direct")
    assert MEASURED.ingest == pytest.approx(direct["cpu_us_per_delivery"] - MEASURED.send, rel=0.02)
    assert medians("all-2026-11-23", "connect")["cpu_us_per_conn"] == pytest.approx(MEASURED.connect)
    idle = medians("all-2026-11-23", "idle")
    assert idle["grown_mb"] * 1e6 / 5_000 == pytest.approx(MEASURED.idle_bytes, rel=0.01)
    assert idle["cpu_share"] * 1e6 / 5_000 == pytest.approx(MEASURED.idle, rel=0.01)
    assert (idle["boot_mb"] - idle["push_mb"]) * 1e6 / (5_000**2 / 2) == pytest.approx(
        MEASURED.entry_bytes, rel=0.01
    )


def test_costs_over_socketio_are_those_of_the_benchs_results():
    raw, io = ("all-2026-11-23", "fanout-wide-paced-idle-2026-11-23")
    share = warm_send(io, "ours-io") / warm_send(raw, "ours")
    assert share == pytest.approx(costs.IO_SHARE, rel=0.02)
    grown = medians(io, "idle", "ours-io")["kb_per_conn"] * 1024
    assert grown == pytest.approx(MEASURED.io_idle_bytes, rel=0.01)
    assert over_socketio(CROWD).costs.send > CROWD.costs.send


def test_a_frame_is_as_long_as_the_codec_makes_it():
    user = Identity("u12345678901", "user00123")
    outgoing = Envelope(2, "x" * 64, "lobby", None, "mb1234567890", user, 123_456, 1_764_000_000_000)
    assert len(NATIVE.draft(outgoing)) == MEASURED.frame_bytes


def test_the_simulation_of_a_measured_scenario_is_near_to_what_was_measured():
    result = medians("all-2026-11-23", "paced")
    found = play(PACED, 100)
    assert found.used["worker"] == pytest.approx(result["cpu_share"], rel=0.05)
    assert found.p50 == pytest.approx(result["p50_ms"], rel=0.2)
    assert found.p99 == pytest.approx(result["p99_ms"], rel=0.2)


def medians(file, scenario, server="ours"):
    kept = json.loads((ROOT / f"bench/results/{file}.json").read_text())
    return kept["scenarios"][scenario]["medians"][server]


def write_us(row):
    return row["cpu_us_per_delivery"] * row["frames_per_read"]


def warm_send(file, server):
    """A write's fixed part with 500 sockets, from `fanout` and `wide`."""
    few, many = (medians(file, name, server) for name in ("fanout", "wide"))
    frame = (write_us(many) - write_us(few)) / (many["frames_per_read"] - few["frames_per_read"])
    return write_us(few) - few["frames_per_read"] * frame
