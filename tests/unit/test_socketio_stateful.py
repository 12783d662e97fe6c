"""Reconnecting over Socket.IO, checked against a model, with random steps, kills of processes and lost bytes.

Clients keep what stock clients keep: a pid and the last offset. Their pages repeat joins that were not answered, and
join all rooms with `since` where they were not recovered. In any case, each gets every message of its rooms once.
"""

import os
import random
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from chat.cluster.broker.memory import Bus
from chat.store import migrate
from chat.store.engine import make_engine
from chat.store.sql import SqlHistory
from tests.databases import stored
from tests.resumer import said
from tests.socketio_processes import Process, StockClient, io_settings, new_clock, run

NAMES = ["ann", "bob"]
ROOMS = ["lobby", "den", "attic"]
OUT, JOINING, IN, LEAVING = "out", "joining", "in", "leaving"

#: CHAT_TEST_SEARCH=2000 plays so many random sequences of steps, instead of the same 20 each time.
SEARCH = int(os.environ.get("CHAT_TEST_SEARCH", "0"))

numbers = st.integers(0, 23)
often = st.sampled_from([True, True, True, False])
#: Which task goes on next, repeatedly.
steps = st.lists(st.integers(0, 7), max_size=20)


class View:
    """One room as a client's page has received it."""

    def __init__(self, room):
        self.room, self.state, self.asked = room, OUT, 0
        self.start_over(None)

    def start_over(self, seq):
        self.begun = self.last = seq
        self.received, self.epoch = [], None

    @property
    def joining(self):
        """The fields of a join that say where it was."""
        known = {"since": self.last, "epoch": self.epoch}
        return {key: value for key, value in known.items() if value is not None}


class PageClient(StockClient):
    """A stock client with a page that tracks its rooms."""

    def __init__(self, name, number, log):
        super().__init__(name)
        self.number, self.log = number, log
        self.process = None
        self.views = {room: View(room) for room in ROOMS}
        self.sent = set()
        #: {conversation: the messages received on connections that were not recovered}
        self.received_before = defaultdict(set)
        self.direct = {}
        self.recoveries = [0, 0]

    def connect_to(self, number, process):
        self.process = number
        self.connect(process, lobby=False)

    def connected(self):
        self.recoveries[self.recovered] += 1
        if not self.recovered:
            for room, received in self.direct.items():
                self.received_before[room].update(received)
            self.direct, self.floors = defaultdict(list), {room: len(log) for room, log in self.log().items()}
        for view in self.views.values():
            if view.state == LEAVING:
                self.leave(view)
            elif view.state == JOINING or (view.state == IN and not self.recovered):
                self.join(view)

    # -- requests

    def join(self, view):
        view.state, view.asked = JOINING, view.asked + 1
        asked = view.asked
        self.emit(
            "join", {"room": view.room, **view.joining}, lambda answer: self.joined(view, asked, answer)
        )

    def joined(self, view, asked, answer):
        if not answer["recovered"] or view.begun is None:
            view.start_over(answer["seq"])
        else:
            assert answer["seq"] == view.last, (answer, view.received)
        view.epoch = answer["epoch"]
        if asked == view.asked and view.state == JOINING:
            view.state = IN

    def leave(self, view):
        view.state, view.asked = LEAVING, view.asked + 1
        asked = view.asked
        self.emit("leave", {"room": view.room}, lambda answer: self.left(view, asked))

    def left(self, view, asked):
        if asked == view.asked:
            view.state = OUT
            view.start_over(None)

    def say(self, event, **message):
        id = f"{self.name}{self.number}-{len(self.sent)}"
        self.sent.add(id)
        self.emit(event, {"data": "x", "id": id, **message}, lambda answer: None)

    # -- messages

    def receive(self, event, message, *offset):
        if event == "group_chat" and "seq" in message:
            view = self.views[message["room"]]
            assert view.state != OUT, "a message of a room that it has left"
            if view.begun is None:
                view.start_over(message["seq"] - 1)
            assert message["seq"] == view.last + 1, (message, view.last)
            view.received.append(said(message))
            view.last = message["seq"]
        elif event == "single_chat":
            self.direct[message["room"]].append(said(message))

    # -- what must hold when nothing is in progress

    def check(self):
        for view in self.views.values():
            assert view.state in (OUT, IN)
            if view.state == IN:
                assert view.received == self.log()[view.room][view.begun :]
        for room, log in self.log().items():
            if room.startswith("dm:") and f"id-{self.name}" in room.split(":"):
                self.check_direct(room, log)

    def check_direct(self, room, log):
        received = self.direct[room]
        assert received == sorted(set(received)), "twice, or out of order"
        assert not self.received_before[room] & set(received), "again on this connection"
        new = {
            one
            for one in log[self.floors.get(room, 0) :]
            if one.id not in self.sent or room.count(self.name) == 2
        }
        assert new <= set(received), "a gap"


class Reconnecting(RuleBasedStateMachine):
    """Two processes that may be killed at any moment, and clients of two users; some steps follow each rule."""

    processes_count = 2
    replay_max = 15
    #: How often, and for how many seconds each time, all processes run until nothing is in progress.
    rounds, stretch = 4, 1.25

    def __init__(self, urls):
        super().__init__()
        self.clock = new_clock()
        self.url = next(urls)
        self.settings = io_settings(replay_max=self.replay_max)
        self.bus = self.make_bus()
        self.processes, self.clients = [], []

    @initialize()
    def begin(self):
        engine = make_engine(self.url)
        self.history = SqlHistory(engine, run)
        for room in ROOMS[1:]:
            self.history.create_room(room, "public", None)
        self.processes = [self.start() for _ in range(self.processes_count)]
        for number, name in enumerate([*NAMES, NAMES[0]]):
            client = PageClient(name, number, self.log)
            self.clients.append(client)
            client.connect_to(number % self.processes_count, self.processes[number % self.processes_count])
        self.settle()
        for client in self.clients:
            for room in ROOMS[:2]:
                client.join(client.views[room])
        self.settle()
        # A stock client that has received no event yet has no offset.
        self.clients[0].say("group_chat", room="lobby")
        self.settle()

    def make_bus(self):
        """The bus between the processes beside the store, or None."""
        return None

    def start(self):
        return Process(self.url, self.settings, self.clock, self.bus)

    def stop(self):
        for client in self.clients:
            if client.line is not None:
                client.cut()
        for process in self.processes:
            process.kill()
        if self.processes:
            self.history.close()

    def teardown(self):
        self.stop()
        for recovered in (False, True):
            if any(client.recoveries[recovered] > (not recovered) for client in self.clients):
                event(f"recovered: {recovered}")

    def log(self):
        """{room: all messages that are stored in it}"""
        return stored(self.url)

    def pick(self, number, *state):
        here = [one for one in self.clients if one.line is not None and one.is_connected]
        found = [(one, view) for one in here for view in one.views.values() if view.state in state]
        return found[number % len(found)] if found else (None, None)

    # -- clients

    @rule(number=numbers, steps=steps)
    def join(self, number, steps):
        one, view = self.pick(number, OUT)
        if one:
            one.join(view)
            self.run_steps(steps)

    @rule(number=numbers, steps=steps)
    def leave(self, number, steps):
        one, view = self.pick(number, IN)
        if one:
            one.leave(view)
            self.run_steps(steps)

    @rule(
        numbers=st.lists(numbers, min_size=1, max_size=5),
        tos=st.lists(st.sampled_from(NAMES), max_size=3),
        steps=steps,
    )
    def say(self, numbers, tos, steps):
        for number in numbers:
            one, view = self.pick(number, IN)
            if one:
                one.say("group_chat", room=view.room)
                for to in tos:
                    one.say("single_chat", to=to)
        self.run_steps(steps)

    @rule(number=numbers, read=st.booleans(), steps=steps)
    def cut(self, number, read, steps):
        here = [one for one in self.clients if one.line is not None]
        if here:
            self.end(here[number % len(here)], read)
            self.run_steps(steps)

    def end(self, client, read):
        if read:
            client.read_packets()
        client.cut()

    @rule(number=numbers, process=st.integers(0, 1), steps=steps)
    def reconnect(self, number, process, steps):
        disconnected = [one for one in self.clients if one.line is None]
        if disconnected:
            process %= self.processes_count
            disconnected[number % len(disconnected)].connect_to(process, self.processes[process])
            self.run_steps(steps)

    # -- processes

    @rule(number=st.integers(0, 1), read=st.booleans(), steps=steps)
    def kill(self, number, read, steps):
        number %= self.processes_count
        for one in self.clients:
            if one.line is not None and one.process == number:
                self.end(one, read)
        self.processes[number].kill()
        self.processes[number] = self.start()
        self.run_steps(steps)

    # -- time

    def run_steps(self, steps):
        for choice in steps:
            self.processes[choice % self.processes_count].step(choice)
        self.read()

    def read(self):
        for one in self.clients:
            if one.line is not None:
                one.read_packets()

    @rule()
    def wait(self):
        self.clock.now += 1.0

    @rule()
    def settle(self):
        for _ in range(self.rounds):
            for process in self.processes:
                with process.scheduled():
                    process.scheduler.run(self.stretch)
            self.read()
        for one in self.clients:
            if one.line is not None:
                one.check()

    @rule()
    def reconnect_all(self):
        for one in self.clients:
            if one.line is None:
                one.connect_to(one.process, self.processes[one.process])
        self.settle()


class OneProcess(Reconnecting):
    """One process at a time, as most sites have it: every client is recovered."""

    processes_count = 1
    replay_max = 1_000

    def settle(self):
        super().settle()
        assert all(one.recoveries[False] == 1 for one in self.clients)


class WithABus(Reconnecting):
    """Two processes that publish to each other what they store."""

    def make_bus(self):
        return Bus()


class BetweenLiveProcesses(WithABus):
    """Two processes that are never killed, while clients move between them."""

    #: Both run for less time than one waits for an answer of the other.
    rounds, stretch = 10, 0.5

    @rule(number=numbers, read=st.booleans(), steps=steps)
    def kill(self, number, read, steps):
        """Kill no process: instead, a client reconnects to the other one."""
        here = [one for one in self.clients if one.line is not None]
        if here:
            one = here[number % len(here)]
            self.end(one, read)
            self.run_steps(steps)
            other = 1 - one.process
            one.connect_to(other, self.processes[other])
            self.run_steps(steps)


@pytest.fixture
def folder():
    """A folder for databases, in memory where that is possible: the tests end processes, but no machine."""
    with TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as path:
        yield Path(path)


def databases(folder):
    """Yield URLs of fresh databases, each in place of the one before."""
    template, path = folder / "template.db", folder / "chat.db"
    migrate.upgrade(f"sqlite:///{template}")
    while True:
        for old in folder.glob("chat.db*"):
            old.unlink()
        path.write_bytes(template.read_bytes())
        yield f"sqlite:///{path}"


def play(machine, folder, examples):
    urls = databases(folder)
    # Without Phase.shrink, which may take minutes: add it for a shorter sequence than the one that was found.
    options = settings(
        max_examples=examples,
        stateful_step_count=25,
        deadline=None,
        derandomize=not SEARCH,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(lambda: machine(urls), settings=options)


@pytest.mark.slow
def test_on_one_process_every_client_gets_each_message_once(folder):
    play(OneProcess, folder, SEARCH or 20)


@pytest.mark.slow
def test_on_two_processes_every_client_gets_each_message_once(folder):
    play(Reconnecting, folder, SEARCH or 20)


@pytest.mark.slow
def test_on_two_processes_with_a_bus_every_client_gets_each_message_once(folder):
    play(WithABus, folder, SEARCH or 20)


@pytest.mark.slow
def test_between_two_live_processes_every_client_gets_each_message_once(folder):
    play(BetweenLiveProcesses, folder, SEARCH or 20)


def test_a_client_cut_off_while_it_resumes_is_recovered_the_next_time(folder):
    machine = OneProcess(databases(folder))
    try:
        machine.begin()
        for _ in range(3):
            machine.cut(number=0, read=False, steps=[])
            machine.reconnect(number=0, process=0, steps=[])
        machine.settle()
        assert machine.clients[0].recoveries == [1, 1]
    finally:
        machine.stop()


def test_a_client_cut_off_while_a_conversation_begins_is_recovered(folder):
    machine = OneProcess(databases(folder))
    try:
        machine.begin()
        bob = machine.clients[1]
        for steps in range(20):
            for to in ("ann", "bob"):  # the restarted process has delivered the second one only
                bob.say("single_chat", to=to)
            machine.run_steps([0] * steps)
            machine.kill(number=0, read=True, steps=[])
            machine.reconnect_all()
            bob.say("single_chat", to="bob")
            machine.settle()
    finally:
        machine.stop()


@pytest.mark.parametrize("seed", [0, 1, 11, 14, 18])
def test_a_direct_message_received_before_a_move_is_not_delivered_again(folder, seed):
    """The new process finds it when it checks for what the old one has stored: at these steps, after the move."""
    chance = random.Random(seed)
    machine = BetweenLiveProcesses(databases(folder))
    try:
        machine.begin()
        bob = machine.clients[1]
        bob.say("single_chat", to="bob")
        machine.settle()
        machine.clock.now += 0.5
        bob.say("single_chat", to="bob")
        machine.run_steps(chance.choices(range(8), k=20))
        machine.end(bob, read=True)
        bob.connect_to(0, machine.processes[0])
        for step in chance.choices([0, 2, 4, 6], k=40):
            machine.run_steps([step])
            machine.clock.now += chance.choice([0] * 9 + [0.3])
        machine.settle()
        assert bob.recoveries == [1, 1]
    finally:
        machine.stop()


@pytest.mark.parametrize("seed", range(8))
def test_a_client_that_starts_over_elsewhere_receives_no_direct_message_again(folder, seed):
    """It is not recovered, and the new process has yet to deliver what the old one has stored."""
    chance = random.Random(seed)
    machine = BetweenLiveProcesses(databases(folder))
    try:
        machine.begin()
        bob = machine.clients[1]
        machine.clock.now += 0.5
        bob.say("single_chat", to="bob")
        while not bob.direct:
            machine.run_steps([chance.choice([1, 3, 5, 7])])
        machine.end(bob, read=True)
        bob.pid = bob.offset = None
        bob.connect_to(0, machine.processes[0])
        for step in chance.choices(range(8), k=20):
            machine.run_steps([step])
        machine.settle()
        assert bob.recoveries == [2, 0] and bob.line is not None
    finally:
        machine.stop()
