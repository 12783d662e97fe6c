"""Rooms and history against a model, in all orders that two processes, their loops and a slow, failing store allow.

Clients join, send, disconnect, reconnect and resend at random. The model is the list of what was stored, and what each
client may conclude from what it was answered.
"""

from collections import defaultdict
from itertools import product

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from chat.store.history import PRIVATE
from chat.wire.envelope import direct_room
from tests.client_model import IN, JOINING, LEAVING, OUT, REPLAY_MAX, ROOMS, STORED, ClientModel
from tests.in_process import LossyBus, Processes, identity, quick_settings

NAMES = ["ann", "bob", "cat"]

numbers = st.integers(0, 23)
often = st.sampled_from([True, True, True, False])
#: Who moves next, again and again.
steps = st.lists(st.integers(0, 7), max_size=16)

pytestmark = pytest.mark.slow


class Rooms(RuleBasedStateMachine):
    """Two processes, one store, and some clients of three users; after each rule come some steps of the scheduler."""

    def __init__(self):
        super().__init__()
        options = quick_settings(replay_max=REPLAY_MAX, ephemeral_rooms=("typing",), worker_lease=2.0)
        self.processes = Processes(2, options, NAMES, self.make_bus())
        self.store = self.processes.store
        self.store.ensure_room("lobby")
        self.store.create_room("den", "public", None)
        attic = self.store.create_room("attic", PRIVATE, identity("ann"), name="attic")
        self.store.join(attic.id, identity("bob"))
        self.log = defaultdict(list)
        self.clients = []
        #: How often the store has failed, and how often when it last did not.
        self.outages = self.calm = 0
        self.failed = False

    def make_bus(self):
        """Return what connects the processes besides the store, or None."""
        return None

    @initialize()
    def begin(self):
        """Connect each user to both processes, and have it join some rooms."""
        for name, process in product(NAMES, (0, 1)):
            self.connect(name, process)
        for one, room in product(self.clients, ("lobby", "den")):
            one.join(room, False, True, self.calm)
        self.settle()

    def teardown(self):
        try:
            if not self.failed:
                self.store.down = self.store.loses_answers = False
                self.settle()
        finally:
            for one in self.clients:
                if one.line is not None:
                    one.disconnect()
            self.processes.end()

    def connect(self, name, process):
        one = ClientModel(name, len(self.clients), self.log)
        one.connect(self.processes.connect(process, name), process, self.calm)
        self.clients.append(one)

    def pick(self, number, *where):
        """Return (a connected client, a room where it is in one of the states `where`), or (None, None)."""
        here = [one for one in self.clients if one.line is not None]
        found = [(one, room) for one in here for room in ROOMS if one.where[room] in where]
        return found[number % len(found)] if found else (None, None)

    def here(self, number):
        return self.pick(number, OUT, JOINING, IN, LEAVING)[0]

    # -- clients

    @rule(number=numbers, resume=st.booleans(), right_epoch=often, steps=steps)
    def join(self, number, resume, right_epoch, steps):
        one, room = self.pick(number, OUT, OUT, IN)
        if one:
            one.join(room, resume, right_epoch, self.calm)
            self.turn(steps)

    @rule(number=numbers, steps=steps)
    def leave(self, number, steps):
        one, room = self.pick(number, JOINING, IN)
        if one:
            one.leave(room, self.calm)
            self.turn(steps)

    @rule(numbers=st.lists(numbers, min_size=1, max_size=8), steps=steps)
    def say(self, numbers, steps):
        for number in numbers:
            one, room = self.pick(number, IN)
            if one:
                one.send(one.say(room, "hi"), self.calm)
        self.turn(steps)

    @rule(number=numbers, room=st.sampled_from(ROOMS), steps=steps)
    def say_anywhere(self, number, room, steps):
        one = self.here(number)
        if one:
            one.send(one.say(room, "hi"), self.calm)
            self.turn(steps)

    @rule(number=numbers, to=st.sampled_from([*NAMES, *NAMES, "nobody"]), steps=steps)
    def tell(self, number, to, steps):
        one = self.here(number)
        if one:
            one.send(one.tell(to, "psst"), self.calm)
            self.turn(steps)

    @rule(number=numbers, to=st.sampled_from(NAMES), missed=st.integers(0, 6), steps=steps)
    def join_direct(self, number, to, missed, steps):
        one = self.here(number)
        room = one and direct_room(one.id, f"id-{to}")
        if one and room not in one.since:
            one.join_direct(room, max(0, len(self.log[room]) - missed), self.calm)
            self.turn(steps)

    @rule(number=numbers, steps=steps)
    def resend(self, number, steps):
        one = self.here(number)
        for message in one.resend() if one else ():
            one.send(message, self.calm)
        self.turn(steps)

    @rule(number=numbers, other_body=st.booleans(), steps=steps)
    def repeat(self, number, other_body, steps):
        one = self.here(number)
        if one and one.acked:
            message = one.said[next(reversed(one.acked))]
            one.send({**message, "data": "ho"} if other_body else message, self.calm)
            self.turn(steps)

    @rule(number=numbers, steps=steps)
    def drop(self, number, steps):
        one = self.here(number)
        if one:
            one.disconnect()
            self.turn(steps)

    @rule(number=numbers, process=st.integers(0, 1), resend=st.booleans(), steps=steps)
    def reconnect(self, number, process, resend, steps):
        disconnected = [one for one in self.clients if one.line is None]
        if disconnected:
            one = disconnected[number % len(disconnected)]
            one.connect(self.processes.connect(process, one.name), process, self.calm)
            for room, view in one.views.items():
                if view.last is not None:
                    one.join(room, True, True, self.calm)
            self.turn(steps)

    @rule(process=st.integers(0, 1), room=st.sampled_from(STORED), steps=steps)
    def site_sends(self, process, room, steps):
        self.processes.send(process, room, "news")
        self.turn(steps)

    # -- the store

    @rule(loses_answers=st.booleans(), steps=steps)
    def store_fails(self, loses_answers, steps):
        self.store.down, self.store.loses_answers = not loses_answers, loses_answers
        self.outages += 1
        self.turn(steps)

    @rule()
    def store_answers(self):
        self.store.down = self.store.loses_answers = False
        self.calm = self.outages

    # -- time

    def turn(self, steps):
        for choice in steps:
            self.processes.step(choice)
        self.listen()

    @rule()
    def wait(self):
        self.processes.scheduler.clock.now += 1.0

    @rule()
    def settle(self):
        self.processes.settle()
        self.listen()
        if not (self.store.down or self.store.loses_answers):
            self.failed = True
            for one in self.clients:
                one.check()
            self.check_acks()
            self.check_rooms()
            self.failed = False

    def listen(self):
        self.failed = True  # unless it comes to its end
        self.read_log()
        for one in self.clients:
            if one.line is not None:
                one.listen(self.outages)
        self.failed = False

    def read_log(self):
        for room, messages in self.store.stored().items():
            self.log[room] += messages[len(self.log[room]) :]

    def check_acks(self):
        stored = {}
        for room, log in self.log.items():
            assert [one.seq for one in log] == list(range(1, len(log) + 1))
            for one in log:
                assert stored.setdefault((one.sender, one.id), (room, one.seq)) == (room, one.seq)
        for one in self.clients:
            for id, place in one.acked.items():
                assert place == ("typing", None) or stored[one.id, id] == place
            assert not any((one.id, id) in stored for id in one.not_joined if one.sent[id] == 1)

    def check_rooms(self):
        """A process has open the rooms of its clients and the lobby, and no others."""
        for number, process in enumerate(self.processes.runtimes):
            here = [one for one in self.clients if one.line is not None and one.process == number]
            wanted = {room for one in here for room in ROOMS if one.where[room] == IN}
            opened = process.hub.rooms
            assert {room.name for room in opened} == wanted | {"lobby"}
            assert not any(room.joining for room in opened)


class RoomsOnABus(Rooms):
    """The same with bus messages between the processes, some of which are lost, and with their common rosters."""

    def make_bus(self):
        return LossyBus()

    @rule(every=st.sampled_from([0, 1, 2, 3, 7]))
    def hints_get_lost(self, every):
        self.processes.bus.every = every

    @rule(process=st.integers(0, 1))
    def cut_off(self, process):
        self.processes.bus.partitioned.add(self.processes.runtimes[process].broker)

    @rule()
    def heal(self):
        self.processes.bus.partitioned.clear()
        self.processes.bus.every = 0

    @rule()
    def compare_rosters(self):
        self.heal()
        for _ in range(3):
            self.settle()
        if not (self.store.down or self.store.loses_answers):
            self.failed = True
            self.check_rosters()
            self.failed = False

    def check_rosters(self):
        for process in self.processes.runtimes:
            for room in process.hub.rooms:
                here = {
                    one.id for one in self.clients if one.line is not None and one.where.get(room.name) == IN
                }
                assert {user.id for user in room.roster} == here, room.name


# Without Phase.shrink, which may take minutes. Add it to find a shorter sequence that fails.
Rooms.TestCase.settings = settings(
    max_examples=200,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
)
RoomsOnABus.TestCase.settings = settings(Rooms.TestCase.settings, max_examples=150)
TestRooms = Rooms.TestCase
TestRoomsOnABus = RoomsOnABus.TestCase
