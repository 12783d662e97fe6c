"""Two processes on one store: what happens at once there comes out right, in whatever order it happens.

Each test is a scene that is played again and again, its steps in other orders: the races that the code knows of.
"""

import random
from contextlib import contextmanager

from chat.rooms.catch_up import ROTATION_INTERVAL
from chat.store.history import PRIVATE
from tests.in_process import Processes, identity, quick_settings
from tests.resumer import DIRECT, ERROR, GROUP, JOIN, LEAVE, SYNCED, said

ORDERS = 120


class Scene:
    """Two processes, and a private room, attic, of ann and bob."""

    def __init__(self, chance, **options):
        self.chance = chance
        self.processes = Processes(2, quick_settings(ephemeral_rooms=("typing*",), **options), ["ann", "bob"])
        self.store = self.processes.store
        self.attic = self.store.create_room("attic", PRIVATE, identity("ann"), name="attic")
        self.store.join(self.attic.id, identity("bob"))
        self.lines = []

    def come(self, name, process, *rooms):
        """A client, once it is in these rooms."""
        line = self.processes.connect(process, name)
        self.lines.append(line)
        for room in rooms:
            line.send({"type": JOIN, "room": room})
        self.processes.settle()
        line.receive()
        return line

    def mix(self):
        self.processes.mix(self.chance)

    def say(self, line, *texts):
        for text in texts:
            line.send({"type": GROUP, "room": "attic", "data": text})


@contextmanager
def playing(number, **options):
    scene = Scene(random.Random(number), **options)
    try:
        yield scene
    except AssertionError as error:
        error.add_note(f"in order {number}")
        raise
    finally:
        for line in scene.lines:
            line.close()
        scene.processes.end()


def scenes(**options):
    for number in range(ORDERS):
        with playing(number, **options) as scene:
            yield scene


def texts(messages):
    return [message["data"] for message in messages if message["type"] == GROUP and message.get("room")]


def test_a_room_opens_while_another_process_speaks_there():
    for scene in scenes():
        ann, bob = scene.come("ann", 0, "attic"), scene.come("bob", 1)
        scene.say(ann, "0")
        scene.processes.settle()
        bob.send({"type": JOIN, "room": "attic", "since": 1})
        scene.say(ann, "1", "2", "3")
        scene.mix()
        assert texts(bob.receive()) == ["1", "2", "3"]


def test_somebody_comes_from_a_process_that_has_heard_more():
    for scene in scenes():
        ann, bob = scene.come("ann", 0, "attic"), scene.come("bob", 1, "attic")
        scene.say(ann, "1", "2", "3")
        while "2" not in (heard := texts(ann.receive())):
            scene.processes.step(scene.chance.randrange(8))
        ann.close()
        again = scene.processes.connect(1, "ann")
        scene.lines.append(again)
        again.send({"type": JOIN, "room": "attic", "since": len(heard)})
        scene.mix()
        assert heard + texts(again.receive()) == texts(bob.receive()) == ["1", "2", "3"]


def test_a_conversation_begins_in_two_processes_at_once():
    for scene in scenes():
        lines = [scene.come(name, process) for name in ("ann", "bob") for process in (0, 1)]
        for line, to in zip(lines, ("bob", "bob", "ann", "ann"), strict=True):
            line.send({"type": DIRECT, "to": to, "data": "hi"})
        scene.mix()
        for line in lines:
            heard = [said(message).seq for message in line.receive() if message["type"] == DIRECT]
            assert heard == sorted(set(heard)) and len(heard) == 3  # all but its own


def test_a_conversation_that_falls_silent_is_not_told_again_by_an_frozen_mark():
    with playing(0) as scene:
        scene.store.frozen_mark, _ = scene.store.changed(None)
        ann, bob = scene.come("ann", 0), scene.come("bob", 1)
        for text in ("once", "and again"):
            ann.send({"type": DIRECT, "to": "bob", "data": text})
            scene.processes.settle()
            assert [message["data"] for message in bob.receive() if message["type"] == DIRECT] == [text]
            for _ in range(4):
                scene.processes.scheduler.clock.now += ROTATION_INTERVAL + 1.0
                scene.processes.settle()
                assert bob.receive() == []


def test_a_word_is_heard_by_the_speakers_other_sockets_though_the_first_has_gone():
    for scene in scenes():
        first, other = scene.come("ann", 0), scene.come("ann", 0)
        first.send({"type": DIRECT, "to": "bob", "data": "hi", "id": "1"})
        scene.processes.step(0)
        first.close()
        scene.mix()
        assert [message["id"] for message in other.receive() if message["type"] == DIRECT] == ["1"]


def test_who_leaves_while_being_let_in_is_out():
    for scene in scenes():
        ann, bob = scene.come("ann", 0, "attic"), scene.come("bob", 1)
        bob.send({"type": JOIN, "room": "attic", "since": 0})
        for _ in range(scene.chance.randrange(12)):
            scene.processes.step(scene.chance.randrange(8))
        bob.send({"type": LEAVE, "room": "attic"})
        scene.mix()
        *_, last = bob.receive()
        assert last == {"type": LEAVE, "room": "attic"}
        scene.say(ann, "1")
        scene.mix()
        assert bob.receive() == []


def test_who_is_put_out_while_being_let_in_is_out():
    for scene in scenes():
        ann, bob = scene.come("ann", 0, "attic"), scene.come("bob", 1)
        bob.send({"type": JOIN, "room": "attic"})
        for _ in range(scene.chance.randrange(12)):
            scene.processes.step(scene.chance.randrange(8))
        scene.store.leave(scene.attic.id, "id-bob")
        scene.processes.spawn(scene.processes.runtimes[1].revocation.unsubscribe_user, "id-bob", "attic")
        scene.mix()
        answers = [message for message in bob.receive() if message["type"] in (ERROR, LEAVE, SYNCED)]
        assert answers[-1]["type"] == LEAVE or answers[-1]["code"] == "unknown_room"
        scene.say(ann, "1")
        scene.mix()
        assert bob.receive() == []


def test_a_store_that_fails_keeps_nobody_from_a_room_that_needs_none():
    for scene in scenes():
        ann = scene.come("ann", 0)
        scene.store.down = True
        ann.send({"type": JOIN, "room": "attic", "id": "a"})
        ann.send({"type": JOIN, "room": "typing", "id": "b"})
        scene.mix()
        answers = {message["ref"]: message for message in ann.receive() if "ref" in message}
        assert answers["a"]["code"] == "store_unavailable" and answers["b"]["type"] == SYNCED


def test_joins_that_come_at_once_do_not_outdo_the_limit():
    for scene in scenes(max_rooms_per_client=2):
        ann = scene.come("ann", 0)
        for number in range(4):
            ann.send({"type": JOIN, "room": f"typing-{number}"})
        scene.mix()
        answers = [message.get("code") for message in ann.receive() if message["type"] in (ERROR, SYNCED)]
        assert sorted(answers, key=str) == [None, None, "too_many_rooms", "too_many_rooms"]
