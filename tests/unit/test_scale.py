"""The simulation behind docs/scale.md, against closed forms and cases to play by hand; and that page."""

import random
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from bench.scale import __main__ as tables
from bench.scale import capacity, closed, site
from bench.scale.broker import Broker, BusMessage
from bench.scale.costs import ASSUMED, MEASURED, wire_bytes
from bench.scale.loads import LOADS, Load, Placement, place_members
from bench.scale.outcome import play, quantile, used
from bench.scale.parts import Clock, Disk, Locks, Queue
from bench.scale.site import Site
from bench.scale.storm import STORMS, Simulation, Storm, course, service

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/scale.md").read_text()
FOREVER = float("inf")
ROOM = Load("a room", 40, 2, 1, 40, (100,), seconds=1.0, hardware=replace(ASSUMED, workers=2))
ROOMS = Load("rooms", 200, 2, 50, 20, (100,), zipf=0.5, seconds=1.0, hardware=replace(ASSUMED, workers=2))
SMALL = {
    "stored": ROOMS,
    "ephemeral": replace(ROOMS, ephemeral=True),
    "published by one": replace(ROOMS, ephemeral=True, publishers=1),
    "direct": replace(ROOMS, largest=2, direct=True),
    "two stores, two brokers": replace(ROOMS, stores=2, brokers=2),
    "one room": ROOM,
}
small = pytest.mark.parametrize("load", SMALL.values(), ids=SMALL)


# ---- the parts ----------------------------------------------------------------------------------------------------


def test_a_line_waits_as_long_as_queueing_theory_says():
    rng, line, now, waited, service, load = random.Random(1), Queue(FOREVER), 0.0, 0.0, 0.001, 0.7
    for _ in range(50_000):
        now += rng.expovariate(load / service)
        waited += line.serve(now, service) - service - now
    # M/D/1: Pollaczek and Khinchine.
    assert waited / 50_000 == pytest.approx(load * service / 2 / (1 - load), rel=0.05)
    assert line.busy / now == pytest.approx(load, rel=0.02)


def test_a_line_of_two_servers_gives_the_third_job_to_who_is_free_first():
    line = Queue(FOREVER, 2)
    assert [line.serve(0, 5), line.serve(0, 2), line.serve(1, 3), line.serve(6, 1)] == [5, 2, 5, 7]


def test_what_is_at_work_is_counted_until_the_end_alone():
    line = Queue(10.0)
    line.serve(8.0, 5.0)
    line.serve(20.0, 5.0)
    assert line.busy == 2.0


def test_writes_that_come_during_a_turn_of_the_disk_share_the_next_one():
    clock, kept = Clock(), {}
    disk = Disk(FOREVER, clock, 1.0)
    for when in (0.0, 0.2, 0.9, 1.5):
        clock.at(when, disk.write, lambda when: kept.setdefault(when, clock.now), when)
    clock.run()
    assert kept == {0.0: 1.0, 0.2: 2.0, 0.9: 2.0, 1.5: 3.0}
    assert disk.busy == 3.0


def test_a_room_has_one_holder_at_a_time_in_the_order_of_asking():
    clock, order = Clock(), []
    locks = Locks(FOREVER, clock)

    def hold(name, rooms):
        order.append((clock.now, name))
        clock.at(clock.now + 1, locks.release, rooms)

    for when, name, rooms in ((0.0, "a", [1, 2]), (0.1, "b", [2, 3]), (0.2, "c", [3]), (0.3, "d", [1])):
        clock.at(when, locks.take, rooms, hold, name, rooms)
    clock.run()
    # c waits for room 3 from 0.2 on, since b holds it only from 1.0 on: b has to wait for a's room first.
    assert order == [(0.0, "a"), (0.2, "c"), (1.0, "d"), (1.2, "b")]
    assert {room: round(meter.busy, 6) for room, meter in locks.held.items()} == {1: 2.0, 2: 2.2, 3: 2.0}


def test_hints_that_come_during_a_turn_of_the_broker_are_copied_in_the_next_one():
    clock, delivered = Clock(), []
    broker = Broker(FOREVER, clock, MEASURED, 0.0)
    for when, name in ((0.0, "a"), (1e-6, "b"), (2e-6, "c")):
        message = BusMessage(
            (0, 1), 0.0, lambda listener, name=name: delivered.append((name, listener, clock.now))
        )
        clock.at(when, broker.put, [message])
    clock.run()
    alone = 20.6 + 1.0 + 2 * (0.34 + 2.69)
    both = 2 * 20.6 + 2 * 1.0 + 4 * 0.34 + 2 * 2.69
    ends = {"a": alone * 1e-6, "b": (alone + both) * 1e-6, "c": (alone + both) * 1e-6}
    assert delivered == [(name, listener, pytest.approx(ends[name])) for name in "abc" for listener in (0, 1)]


# ---- the site -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("members", "workers"), [(1, 4), (7, 4), (33, 4), (1_000, 3)])
def test_every_member_has_one_seat(members, workers):
    placed = place_members(members, workers, random.Random(1))
    assert sum(placed.values()) == members
    assert set(placed) <= set(range(workers))


@small
@pytest.mark.parametrize("rate", [50, 5_000])
def test_every_message_is_heard_once_by_every_member(load, rate):
    played = played_site(load, rate)
    placement, expected = Placement(load, 1), {}
    for number, room in enumerate(rooms_of(load, rate)):
        expected[number] = sum(placement.of(room).values())
    assert played.delivered == expected
    assert played.sent == len(expected)


@small
def test_at_a_low_rate_the_simulation_agrees_with_the_closed_form(load):
    # With the time to warm up, that is twenty heartbeats of each worker.
    even = replace(load, even=True, seconds=20 * site.HEARTBEAT - site.WARM_UP)
    played, computed = played_site(even, 20), closed.shares(even, 20)
    mean = sum(one.busy for one in played.workers) / len(played.workers) / played.length
    assert mean == pytest.approx(computed["worker"], rel=0.1)
    assert used(played)["store"] == pytest.approx(computed["store"], rel=0.1)
    assert used(played)["Redis"] == pytest.approx(computed["Redis"], rel=0.1)
    brokers = sum(one.busy for one in played.brokers)
    assert brokers / played.length == pytest.approx(sum_of_brokers(even, computed), rel=0.1)


def test_one_message_takes_the_way_that_one_can_add_up_by_hand():
    one_worker = replace(ROOM, machines=1, hardware=replace(ASSUMED, workers=1), even=True, connections=1)
    idle = replace(
        MEASURED, idle=0.0, beat=0.0, worker_check=0.0, worker_check_row=0.0, worker_bus_message=0.0
    )
    load, c, hop = replace(one_worker, costs=idle), MEASURED, ASSUMED.hop * 1e6
    at_the_writer = c.ingest + c.worker_commit + c.worker_stored
    in_the_store = hop + c.commit + c.stored + 2 * hop + c.flush + hop
    outgoing = c.worker_publish + c.worker_publish_each
    first, last = at_the_writer + in_the_store + outgoing, 40 * (c.send + c.frame)
    played = played_site(load, 10)
    latencies = [latency * 1e6 for _, latency, _ in played.samples]
    card = 40 * wire_bytes(c.frame_bytes) / ASSUMED.nic * 1e6
    assert min(latencies) >= first - 1
    assert max(latencies) <= first + max(last, card) + 1


def test_the_more_is_said_the_more_a_write_carries_and_nothing_is_lost():
    load = replace(ROOM, connections=10_000, largest=10_000)
    division = closed.shares(load, 2_000)["worker"]
    found = play(load, 2_000)
    assert division > 20
    assert found.used["worker"] <= 1.0
    assert not found.rising
    assert found.deliveries == pytest.approx(2_000 * 10_000, rel=0.1)


def test_what_does_not_keep_up_is_said_to_rise():
    slow = replace(ROOM, connections=10_000, largest=10_000, hardware=replace(ROOM.hardware, nic=1e7))
    assert play(slow, 200).rising
    assert play(slow, 200).busiest == "network"


def test_a_seed_gives_the_same_course_again():
    assert outcome_of(1) == outcome_of(1)
    assert outcome_of(1) != outcome_of(2)


def test_a_quantile_counts_weights():
    samples = [(0.0, 5.0, 1), (0.0, 1.0, 98), (0.0, 9.0, 1)]
    assert [quantile(samples, share) for share in (0.5, 0.985, 1.0)] == [1.0, 5.0, 9.0]
    assert quantile([], 0.5) == 0.0


# ---- the storm ----------------------------------------------------------------------------------------------------


def test_a_storm_that_the_queue_can_hold_takes_as_long_as_its_work():
    went = course(Storm("calm", 4_000, spread=0.01))
    assert went.all == pytest.approx(went.work, rel=0.02)
    assert (went.wasted, went.attempts) == (0, 1.0)


def test_a_storm_slower_than_its_work_ends_with_its_last_client():
    went = course(Storm("spread", 4_000, spread=60.0))
    assert went.all == pytest.approx(60.0, rel=0.01)


def test_everybody_comes_back_however_many_give_up_meanwhile():
    play = Simulation(Storm("crowded", 3_000, workers=1, joins=20, backlog=10_000)).run()
    assert len(play.connected) == 3_000
    assert play.wasted > 0
    assert play.attempts == 3_000 + play.wasted


def test_who_finds_the_queue_full_asks_again_when_tcp_does():
    # All at once, one worker and two places: three are served in each wave, until patience ends after 15 s.
    play = Simulation(Storm("full", 100, workers=1, backlog=2, spread=1e-9, others=0, used=0.0)).run()
    waves = Counter(int(when) for when in play.connected)
    assert {second: waves[second] for second in range(15)} == dict.fromkeys(range(15), 0) | {
        0: 3,
        1: 3,
        3: 3,
        7: 3,
    }
    assert play.attempts >= 100 + 88


def test_who_stayed_takes_a_share_of_the_workers():
    busy, free = (service(Storm("used", 1, used=used)) for used in (0.5, 0.0))
    assert busy == pytest.approx(2 * free)
    assert free == pytest.approx((MEASURED.connect + 7 * MEASURED.elsewhere) * 1e-6)


# ---- the page -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("section", ["check", "holds", "idle", "crowd"])
def test_the_page_shows_what_the_command_prints(section):
    for line in tables.SECTIONS[section]():
        assert line in PAGE


def test_the_page_has_a_table_of_each_load_and_storm():
    for load in LOADS.values():
        assert f"{load.title}: {load.connections:,} connections" in PAGE
    for one in STORMS:
        assert f"| {one.title} |" in PAGE


# ---- small helpers ------------------------------------------------------------------------------------------------


@cache
def played_site(load, rate):
    return Site(load, rate).run()


def rooms_of(load, rate):
    """The rooms of the messages in the order of their numbers, noted by a site that plays the same."""
    rooms = []

    class Noting(Site):
        def _sender_worker(self, room):
            rooms.append(room)
            return super()._sender_worker(room)

    Noting(load, rate)._schedule_messages()
    return rooms


def sum_of_brokers(load, computed):
    """All brokers' shares: the closed form is that of the one which has the site-wide channel too."""
    alive = load.workers / site.HEARTBEAT * capacity.bus_message_us(load.workers, 1) / 1e6
    return computed["Redis"] * load.brokers - alive * (load.brokers - 1)


def outcome_of(seed):
    site = Site(ROOMS, 200, seed).run()
    return used(site), site.samples
