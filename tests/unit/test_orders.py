"""Two processes on one store: concurrent operations have the right result in every order.

Each test runs a scenario many times, its steps in different orders: the races that the code guards against.
"""

import random
from contextlib import contextmanager

import pytest

from chat.cluster.broker.memory import Bus
from chat.rooms.catch_up import ROTATION_INTERVAL
from chat.store.history import PRIVATE
from chat.wire.envelope import direct_room
from tests.in_process import LossyBus, Processes, identity, quick_settings
from tests.resumer import DIRECT, ERROR, GROUP, JOIN, LEAVE, SYNCED, said

ORDERS = 120
#: Orders of each way in which a client may come from another process: there are many ways.
MOVES = 80


class Scenario:
    """Two processes, and a private room, attic, of ann and bob."""

    def __init__(self, rng, bus=None, **options):
        self.rng = rng
        settings = quick_settings(ephemeral_rooms=("typing*",), **options)
        self.processes = Processes(2, settings, ["ann", "bob"], bus and bus())
        self.store = self.processes.store
        self.attic = self.store.create_room("attic", PRIVATE, identity("ann"), name="attic")
        self.store.join(self.attic.id, identity("bob"))
        self.lines = []

    def connect(self, name, process, *rooms):
        """Connect a client, have it join these rooms, and return it."""
        line = self.connect_soon(name, process)
        for room in rooms:
            line.send({"type": JOIN, "room": room})
        self.processes.settle()
        line.receive()
        return line

    def connect_soon(self, name, process, **options):
        """Connect a client; the processes have yet to serve it."""
        line = self.processes.connect(process, name, **options)
        self.lines.append(line)
        return line

    def run_until(self, line, condition):
        """Take random steps until `condition(messages that arrived at line)`, and return these messages."""
        received = []
        while not condition(received):
            if not self.processes.step(self.rng.randrange(8)):
                self.processes.scheduler.clock.now += 0.1
            received += line.receive()
        return received

    def run_until_heard(self, line, room):
        """Take random steps until a message of `room` has arrived at `line`; return the seqs of those that have."""
        return heard(self.run_until(line, lambda received: heard(received, room)), room)

    def mix(self):
        self.processes.mix(self.rng)

    def send(self, line, *texts):
        for text in texts:
            line.send({"type": GROUP, "room": "attic", "data": text})


@contextmanager
def run_scenario(number, **options):
    scenario = Scenario(random.Random(number), **options)
    try:
        yield scenario
    except AssertionError as error:
        error.add_note(f"in order {number}")
        raise
    finally:
        for line in scenario.lines:
            line.close()
        scenario.processes.end()


def scenarios(orders=ORDERS, **options):
    for number in range(orders):
        with run_scenario(number, **options) as scenario:
            yield scenario


def texts(messages):
    return [message["data"] for message in messages if message["type"] == GROUP and message.get("room")]


def test_a_room_opens_while_another_process_stores_messages():
    for scenario in scenarios():
        ann, bob = scenario.connect("ann", 0, "attic"), scenario.connect("bob", 1)
        scenario.send(ann, "0")
        scenario.processes.settle()
        bob.send({"type": JOIN, "room": "attic", "since": 1})
        scenario.send(ann, "1", "2", "3")
        scenario.mix()
        assert texts(bob.receive()) == ["1", "2", "3"]


def test_a_client_reconnects_from_a_process_that_has_delivered_more():
    for scenario in scenarios():
        ann, bob = scenario.connect("ann", 0, "attic"), scenario.connect("bob", 1, "attic")
        scenario.send(ann, "1", "2", "3")
        while "2" not in (received := texts(ann.receive())):
            scenario.processes.step(scenario.rng.randrange(8))
        ann.close()
        again = scenario.connect_soon("ann", 1)
        again.send({"type": JOIN, "room": "attic", "since": len(received)})
        scenario.mix()
        assert received + texts(again.receive()) == texts(bob.receive()) == ["1", "2", "3"]


def test_a_conversation_begins_in_two_processes_at_once():
    for scenario in scenarios():
        lines = [scenario.connect(name, process) for name in ("ann", "bob") for process in (0, 1)]
        for line, to in zip(lines, ("bob", "bob", "ann", "ann"), strict=True):
            line.send({"type": DIRECT, "to": to, "data": "hi"})
        scenario.mix()
        for line in lines:
            received = [said(message).seq for message in line.receive() if message["type"] == DIRECT]
            assert received == sorted(set(received)) and len(received) == 3  # all but its own


def test_a_conversation_without_new_messages_is_not_repeated_by_a_frozen_mark():
    with run_scenario(0) as scenario:
        scenario.store.frozen_mark, _ = scenario.store.changed(None)
        ann, bob = scenario.connect("ann", 0), scenario.connect("bob", 1)
        for text in ("once", "and again"):
            ann.send({"type": DIRECT, "to": "bob", "data": text})
            scenario.processes.settle()
            assert [message["data"] for message in bob.receive() if message["type"] == DIRECT] == [text]
            for _ in range(4):
                scenario.processes.scheduler.clock.now += ROTATION_INTERVAL + 1.0
                scenario.processes.settle()
                assert bob.receive() == []


def test_a_message_reaches_the_senders_other_sockets_though_the_first_has_closed():
    for scenario in scenarios():
        first, other = scenario.connect("ann", 0), scenario.connect("ann", 0)
        first.send({"type": DIRECT, "to": "bob", "data": "hi", "id": "1"})
        scenario.processes.step(0)
        first.close()
        scenario.mix()
        assert [message["id"] for message in other.receive() if message["type"] == DIRECT] == ["1"]


def test_a_client_that_leaves_while_joining_is_not_in_the_room():
    for scenario in scenarios():
        ann, bob = scenario.connect("ann", 0, "attic"), scenario.connect("bob", 1)
        bob.send({"type": JOIN, "room": "attic", "since": 0})
        for _ in range(scenario.rng.randrange(12)):
            scenario.processes.step(scenario.rng.randrange(8))
        bob.send({"type": LEAVE, "room": "attic"})
        scenario.mix()
        *_, last = bob.receive()
        assert last == {"type": LEAVE, "room": "attic"}
        scenario.send(ann, "1")
        scenario.mix()
        assert bob.receive() == []


def test_a_client_removed_while_joining_is_not_in_the_room():
    for scenario in scenarios():
        ann, bob = scenario.connect("ann", 0, "attic"), scenario.connect("bob", 1)
        bob.send({"type": JOIN, "room": "attic"})
        for _ in range(scenario.rng.randrange(12)):
            scenario.processes.step(scenario.rng.randrange(8))
        scenario.store.leave(scenario.attic.id, "id-bob")
        scenario.processes.spawn(
            scenario.processes.runtimes[1].revocation.unsubscribe_user, "id-bob", "attic"
        )
        scenario.mix()
        answers = [message for message in bob.receive() if message["type"] in (ERROR, LEAVE, SYNCED)]
        assert answers[-1]["type"] == LEAVE or answers[-1]["code"] == "unknown_room"
        scenario.send(ann, "1")
        scenario.mix()
        assert bob.receive() == []


def test_a_failing_store_keeps_no_client_from_an_ephemeral_room():
    for scenario in scenarios():
        ann = scenario.connect("ann", 0)
        scenario.store.down = True
        ann.send({"type": JOIN, "room": "attic", "id": "a"})
        ann.send({"type": JOIN, "room": "typing", "id": "b"})
        scenario.mix()
        answers = {message["ref"]: message for message in ann.receive() if "ref" in message}
        assert answers["a"]["code"] == "store_unavailable" and answers["b"]["type"] == SYNCED


def test_simultaneous_joins_do_not_exceed_the_limit():
    for scenario in scenarios(max_rooms_per_client=2):
        ann = scenario.connect("ann", 0)
        for number in range(4):
            ann.send({"type": JOIN, "room": f"typing-{number}"})
        scenario.mix()
        answers = [message.get("code") for message in ann.receive() if message["type"] in (ERROR, SYNCED)]
        assert sorted(answers, key=str) == [None, None, "too_many_rooms", "too_many_rooms"]


# -- a client that comes from a worker which had delivered more


def heard(messages, room):
    """The seqs of a room's or conversation's messages, in the order in which they arrived."""
    return [
        message["seq"]
        for message in messages
        if message["type"] in (GROUP, DIRECT) and message.get("room") == room
    ]


#: What carries messages between the processes beside the store: nothing, a bus, and one that is cut off from the killed
#: process at the moment of its end, so that its last bus messages are lost.
BUSES = {"store": None, "bus": Bus, "killed": LossyBus}
buses = pytest.mark.parametrize("bus", BUSES)


def kill_connection(scenario, line, bus):
    """End a connection as when process 1 is killed."""
    line.close()
    if bus == "killed":
        scenario.processes.bus.partitioned.add(scenario.processes.runtimes[1].broker)


def moves(bus):
    """Yield scenarios in which ann is connected to both processes, and the messages of process 1 come late to 0."""
    for scenario in scenarios(MOVES, bus=BUSES[bus]):
        scenario.connect("ann", 0, "attic", "lobby")
        yield scenario, scenario.connect("ann", 1, "attic", "lobby")


@buses
@pytest.mark.parametrize("client", ["joins", "joins late", "old"])
def test_a_conversation_goes_on_at_another_process(bus, client):
    """With a Join that says what the client has, also a late one, and without, as with clients that know of none."""
    room = direct_room("id-ann", "id-bob")
    for scenario, ann in moves(bus):
        bob = scenario.connect("bob", 1)
        ann.send({"type": DIRECT, "to": "bob", "data": "1"})
        before = scenario.run_until_heard(bob, room)
        ann.send({"type": DIRECT, "to": "bob", "data": "2"})
        for _ in range(scenario.rng.randrange(12)):
            scenario.processes.step(scenario.rng.randrange(8))
        before += heard(bob.receive(), room)
        kill_connection(scenario, bob, bus)
        again = scenario.connect_soon("bob", 0, extended=client != "old")
        after = [] if client == "joins" else scenario.run_until(again, len)
        if client == "joins late":
            scenario.processes.settle()
        if client != "old":
            again.send({"type": JOIN, "room": room, "since": before[-1]})
            for _ in range(scenario.rng.randrange(30)):
                scenario.processes.step(scenario.rng.randrange(8))
        ann.send({"type": DIRECT, "to": "bob", "data": "3"})
        scenario.mix()
        received = before + heard(after + again.receive(), room)
        assert len(received) == len(set(received)), received
        assert sorted(received) == [1, 2, 3] if client != "old" else 3 in received


@buses
def test_the_lobby_goes_on_at_another_process_for_a_client_that_is_in_it_at_once(bus):
    for scenario, ann in moves(bus):
        bob = scenario.connect("bob", 1, "lobby")
        ann.send({"type": GROUP, "data": "1"})
        before = scenario.run_until_heard(bob, "lobby")
        kill_connection(scenario, bob, bus)
        again = scenario.connect_soon("bob", 0, lobby=True, extended=False)
        scenario.mix()
        ann.send({"type": GROUP, "data": "2"})
        scenario.mix()
        assert before + heard(again.receive(), "lobby") == [1, 2]


@buses
def test_a_room_goes_on_at_another_process_for_a_client_that_does_not_say_what_it_has(bus):
    for scenario, ann in moves(bus):
        bob = scenario.connect("bob", 1, "attic")
        scenario.send(ann, "1")
        before = scenario.run_until_heard(bob, "attic")
        kill_connection(scenario, bob, bus)
        again = scenario.connect_soon("bob", 0)
        again.send({"type": JOIN, "room": "attic"})
        scenario.mix()
        scenario.send(ann, "2")
        scenario.mix()
        assert before + heard(again.receive(), "attic") == [1, 2]


def test_a_client_hears_everything_from_its_welcome_on():
    """It waits to be admitted while messages are stored: of what is said after its welcome, nothing is left out."""
    room = direct_room("id-ann", "id-bob")
    for scenario in scenarios():
        ann = scenario.connect("ann", 1)
        bob = scenario.connect_soon("bob", 0)
        for _ in range(scenario.rng.randrange(4)):
            ann.send({"type": DIRECT, "to": "bob", "data": "before"})
        received = scenario.run_until(bob, len)
        begun = len(scenario.store.stored().get(room, ()))
        for _ in range(2):
            ann.send({"type": DIRECT, "to": "bob", "data": "after"})
        scenario.mix()
        last = len(scenario.store.stored()[room])
        received += bob.receive()
        assert set(range(begun + 1, last + 1)) <= set(heard(received, room))
        assert len(heard(received, room)) == len(set(heard(received, room)))


def test_clients_are_admitted_though_the_store_fails():
    for scenario in scenarios():
        scenario.store.down = True
        lines = [scenario.connect_soon("ann", 0, lobby=True) for _ in range(3)]
        scenario.mix()
        for line in lines:
            assert [message["data"] for message in line.receive() if message["type"] == GROUP]


def test_clients_are_admitted_though_the_store_hangs():
    for scenario in scenarios(MOVES):
        scenario.processes.patience = 1.0
        scenario.store.hangs = True
        line = scenario.connect_soon("ann", 0, lobby=True)
        received = scenario.run_until(line, len)
        assert received[0]["user"] is None
        scenario.store.hangs = False
        scenario.mix()
        line.send({"type": GROUP, "data": "hi"})
        scenario.mix()
        assert texts(line.receive()) == ["hi"]
