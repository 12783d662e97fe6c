"""Coming back over Socket.IO against a model, in every order that processes, their ends, and lost bytes allow.

Clients keep what stock clients keep: a pid and the last offset. Their pages join again what was not answered, and all
rooms with `since` where they were not recovered. Whatever happens, each hears every message of its rooms once.
"""

import os
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
from tests.io_house import Process, Stock, io_settings, new_clock, run
from tests.resumer import said

NAMES = ["ann", "bob"]
ROOMS = ["lobby", "den", "attic"]
OUT, JOINING, IN, LEAVING = "out", "joining", "in", "leaving"

#: CHAT_TEST_SEARCH=2000 plays so many stories, and others each time, instead of the same 20.
SEARCH = int(os.environ.get("CHAT_TEST_SEARCH", "0"))

numbers = st.integers(0, 23)
often = st.sampled_from([True, True, True, False])
#: Who moves next, again and again.
steps = st.lists(st.integers(0, 7), max_size=20)


class View:
    """One room as a client's page has heard it."""

    def __init__(self, room):
        self.room, self.where, self.asked = room, OUT, 0
        self.begin_anew(None)

    def begin_anew(self, seq):
        self.begun = self.last = seq
        self.heard, self.epoch = [], None

    @property
    def joining(self):
        """What it says of itself in a join."""
        known = {"since": self.last, "epoch": self.epoch}
        return {key: value for key, value in known.items() if value is not None}


class Visitor(Stock):
    """A client with its page."""

    def __init__(self, name, number, log):
        super().__init__(name)
        self.number, self.log = number, log
        self.process = None
        self.views = {room: View(room) for room in ROOMS}
        self.sent = set()
        self.recoveries = [0, 0]

    def come(self, number, process):
        self.process = number
        self.connect(process, lobby=False)

    def connected(self):
        self.recoveries[self.recovered] += 1
        if not self.recovered:
            self.direct, self.floors = defaultdict(list), {room: len(log) for room, log in self.log().items()}
        for view in self.views.values():
            if view.where == LEAVING:
                self.leave(view)
            elif view.where == JOINING or (view.where == IN and not self.recovered):
                self.join(view)

    # -- what it asks for

    def join(self, view):
        view.where, view.asked = JOINING, view.asked + 1
        asked = view.asked
        self.emit(
            "join", {"room": view.room, **view.joining}, lambda answer: self.joined(view, asked, answer)
        )

    def joined(self, view, asked, answer):
        if not answer["recovered"] or view.begun is None:
            view.begin_anew(answer["seq"])
        else:
            assert answer["seq"] == view.last, (answer, view.heard)
        view.epoch = answer["epoch"]
        if asked == view.asked and view.where == JOINING:
            view.where = IN

    def leave(self, view):
        view.where, view.asked = LEAVING, view.asked + 1
        asked = view.asked
        self.emit("leave", {"room": view.room}, lambda answer: self.left(view, asked))

    def left(self, view, asked):
        if asked == view.asked:
            view.where = OUT
            view.begin_anew(None)

    def say(self, event, **message):
        id = f"{self.name}{self.number}-{len(self.sent)}"
        self.sent.add(id)
        self.emit(event, {"data": "x", "id": id, **message}, lambda answer: None)

    # -- what it hears

    def hear(self, event, message, *offset):
        if event == "group_chat" and "seq" in message:
            view = self.views[message["room"]]
            assert view.where != OUT, "in a room that it has left"
            if view.begun is None:
                view.begin_anew(message["seq"] - 1)
            assert message["seq"] == view.last + 1, (message, view.last)
            view.heard.append(said(message))
            view.last = message["seq"]
        elif event == "single_chat":
            self.direct[message["room"]].append(said(message))

    # -- what must be true of it when nothing moves

    def check(self):
        for view in self.views.values():
            assert view.where in (OUT, IN)
            if view.where == IN:
                assert view.heard == self.log()[view.room][view.begun :]
        for room, log in self.log().items():
            if room.startswith("dm:") and f"id-{self.name}" in room.split(":"):
                self.check_direct(room, log)

    def check_direct(self, room, log):
        heard = self.direct[room]
        assert heard == sorted(set(heard)), "twice, or out of order"
        new = {
            one
            for one in log[self.floors.get(room, 0) :]
            if one.id not in self.sent or room.count(self.name) == 2
        }
        assert new <= set(heard), "a hole"


class Comings(RuleBasedStateMachine):
    """Two processes that may be killed at any moment, and clients of two users; each rule is followed by some steps."""

    processes_count = 2
    replay_max = 15
    #: How often, and for how many seconds each time, all processes go on until they have settled.
    rounds, stretch = 4, 1.25

    def __init__(self, urls):
        super().__init__()
        self.clock = new_clock()
        self.url = next(urls)
        self.settings = io_settings(replay_max=self.replay_max)
        self.bus = self.make_bus()
        self.processes, self.visitors = [], []

    @initialize()
    def begin(self):
        engine = make_engine(self.url)
        self.history = SqlHistory(engine, run)
        for room in ROOMS[1:]:
            self.history.create_room(room, "public", None)
        self.processes = [self.start() for _ in range(self.processes_count)]
        for number, name in enumerate([*NAMES, NAMES[0]]):
            visitor = Visitor(name, number, self.log)
            self.visitors.append(visitor)
            visitor.come(number % self.processes_count, self.processes[number % self.processes_count])
        self.settle()
        for visitor in self.visitors:
            for room in ROOMS[:2]:
                visitor.join(visitor.views[room])
        self.settle()
        # A stock client that has heard nothing yet has no offset.
        self.visitors[0].say("group_chat", room="lobby")
        self.settle()

    def make_bus(self):
        """What joins the processes beside the store; None for nothing."""
        return None

    def start(self):
        return Process(self.url, self.settings, self.clock, self.bus)

    def stop(self):
        for visitor in self.visitors:
            if visitor.line is not None:
                visitor.cut()
        for process in self.processes:
            process.kill()
        if self.processes:
            self.history.close()

    def teardown(self):
        self.stop()
        for recovered in (False, True):
            if any(visitor.recoveries[recovered] > (not recovered) for visitor in self.visitors):
                event(f"recovered: {recovered}")

    def log(self):
        """{room: all that is stored in it}"""
        return stored(self.url)

    def pick(self, number, *where):
        here = [one for one in self.visitors if one.line is not None and one.here]
        found = [(one, view) for one in here for view in one.views.values() if view.where in where]
        return found[number % len(found)] if found else (None, None)

    # -- clients

    @rule(number=numbers, steps=steps)
    def join(self, number, steps):
        one, view = self.pick(number, OUT)
        if one:
            one.join(view)
            self.turn(steps)

    @rule(number=numbers, steps=steps)
    def leave(self, number, steps):
        one, view = self.pick(number, IN)
        if one:
            one.leave(view)
            self.turn(steps)

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
        self.turn(steps)

    @rule(number=numbers, listen=st.booleans(), steps=steps)
    def cut(self, number, listen, steps):
        here = [one for one in self.visitors if one.line is not None]
        if here:
            self.end(here[number % len(here)], listen)
            self.turn(steps)

    def end(self, visitor, listen):
        if listen:
            visitor.listen()
        visitor.cut()

    @rule(number=numbers, process=st.integers(0, 1), steps=steps)
    def come_back(self, number, process, steps):
        away = [one for one in self.visitors if one.line is None]
        if away:
            process %= self.processes_count
            away[number % len(away)].come(process, self.processes[process])
            self.turn(steps)

    # -- processes

    @rule(number=st.integers(0, 1), listen=st.booleans(), steps=steps)
    def kill(self, number, listen, steps):
        number %= self.processes_count
        for one in self.visitors:
            if one.line is not None and one.process == number:
                self.end(one, listen)
        self.processes[number].kill()
        self.processes[number] = self.start()
        self.turn(steps)

    # -- time

    def turn(self, steps):
        for choice in steps:
            self.processes[choice % self.processes_count].step(choice)
        self.listen()

    def listen(self):
        for one in self.visitors:
            if one.line is not None:
                one.listen()

    @rule()
    def wait(self):
        self.clock.now += 1.0

    @rule()
    def settle(self):
        for _ in range(self.rounds):
            for process in self.processes:
                with process.scheduled():
                    process.scheduler.run(self.stretch)
            self.listen()
        for one in self.visitors:
            if one.line is not None:
                one.check()

    @rule()
    def all_come_back(self):
        for one in self.visitors:
            if one.line is None:
                one.come(one.process, self.processes[one.process])
        self.settle()


class OneProcess(Comings):
    """One process at a time, as most sites have it: nobody else stores anything, and everybody is recovered."""

    processes_count = 1
    replay_max = 1_000

    def settle(self):
        super().settle()
        assert all(one.recoveries[False] == 1 for one in self.visitors)


class OnABus(Comings):
    """Two processes that tell each other what they store."""

    def make_bus(self):
        return Bus()


class Wandering(OnABus):
    """Two that live on, while clients go from one to the other."""

    #: Both go on in less than one of them waits for the other's answer.
    rounds, stretch = 10, 0.5

    @rule(number=numbers, listen=st.booleans(), steps=steps)
    def kill(self, number, listen, steps):
        """Nobody is: in the place of that rule, a client goes over."""
        here = [one for one in self.visitors if one.line is not None]
        if here:
            one = here[number % len(here)]
            self.end(one, listen)
            self.turn(steps)
            other = 1 - one.process
            one.come(other, self.processes[other])
            self.turn(steps)


@pytest.fixture
def folder():
    """A folder for databases, in memory where there is such a place: processes end here, but no machine does."""
    with TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as path:
        yield Path(path)


def databases(folder):
    """The URLs of databases, one after the other in the place of the last."""
    template, path = folder / "template.db", folder / "chat.db"
    migrate.upgrade(f"sqlite:///{template}")
    while True:
        for old in folder.glob("chat.db*"):
            old.unlink()
        path.write_bytes(template.read_bytes())
        yield f"sqlite:///{path}"


def play(machine, folder, examples):
    urls = databases(folder)
    # Without Phase.shrink, which may take minutes: add it for a shorter story than the one that was found.
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


def test_on_one_process_every_client_gets_each_message_once(folder):
    play(OneProcess, folder, SEARCH or 20)


def test_on_two_processes_every_client_gets_each_message_once(folder):
    play(Comings, folder, SEARCH or 20)


def test_on_two_processes_with_a_bus_every_client_gets_each_message_once(folder):
    play(OnABus, folder, SEARCH or 20)


def test_between_two_live_processes_every_client_gets_each_message_once(folder):
    play(Wandering, folder, SEARCH or 20)


def test_a_client_cut_off_while_it_resumes_is_recovered_the_next_time(folder):
    story = OneProcess(databases(folder))
    try:
        story.begin()
        for _ in range(3):
            story.cut(number=0, listen=False, steps=[])
            story.come_back(number=0, process=0, steps=[])
        story.settle()
        assert story.visitors[0].recoveries == [1, 1]
    finally:
        story.stop()


def test_a_client_cut_off_while_a_conversation_begins_is_recovered(folder):
    story = OneProcess(databases(folder))
    try:
        story.begin()
        bob = story.visitors[1]
        for steps in range(20):
            for to in ("ann", "bob"):  # in a process that has heard the second one alone
                bob.say("single_chat", to=to)
            story.turn([0] * steps)
            story.kill(number=0, listen=True, steps=[])
            story.all_come_back()
            bob.say("single_chat", to="bob")
            story.settle()
    finally:
        story.stop()
