"""Rooms and history against a model, in every order that two processes, their loops and a slow, failing store allow.

Clients join, speak, drop, come back and resend as they like. The model is the list of what was stored, and what each
client may conclude from what it was answered.
"""

import sys
from collections import Counter, defaultdict
from itertools import product

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from chat.envelope import direct_room
from chat.store.history import PRIVATE
from tests.house import House, identity, quick_settings
from tests.resumer import JOIN, LEAVE, Resumer, Said, said

NAMES = ["ann", "bob", "cat"]
#: attic is private to ann and bob; what is said in typing is not stored.
ROOMS = ["lobby", "den", "attic", "typing"]
STORED = ROOMS[:3]
MEMBERS = {"ann", "bob"}
#: Few, so that a client often misses more.
REPLAY_MAX = 3

OUT, JOINING, IN, LEAVING = "out", "joining", "in", "leaving"

numbers = st.integers(0, 23)
often = st.sampled_from([True, True, True, False])
#: Who moves next, again and again.
steps = st.lists(st.integers(0, 7), max_size=16)


class Visitor(Resumer):
    """A client, and what it may believe: where it is, which answers it waits for, what it must have heard."""

    def __init__(self, name, number, log):
        super().__init__(name, STORED, f"{name}{number}")
        self.log = log
        self.line = None
        self.serial = 0
        #: {id: how often it was sent}
        self.sent = Counter()
        #: Ids of messages that were refused as if they had been sent in no room.
        self.turned_away = set()
        self.typed = []

    def come(self, line, process):
        """Begin a connection."""
        self.begin()
        self.line, self.process = line, process
        self.where = dict.fromkeys(ROOMS, OUT)
        #: {room: (id of the last Join or Leave, where it was before, the Join's since and whether its epoch is right)}
        self.asked = {}
        #: {ref: how many outages there had been} of what will be answered.
        self.waiting = {}
        self.sent_here = set()
        #: {conversation: what of it was heard here}
        self.heard_direct = defaultdict(list)
        #: {conversation: the last seq that need not be heard here}, once it has been let in.
        self.floors = None
        #: {conversation: since} of those that were joined here; what a refused Join has left out, nobody knows.
        self.since = {}
        self.asked_direct = {}

    def go(self):
        self.line.cut()
        self.line = None

    # -- what it sends

    def ask(self, kind, room, outages, **fields):
        self.serial += 1
        id = f"{self.prefix}-ask-{self.serial}"
        if room in self.asked:
            self.waiting.pop(self.asked[room][0], None)
        self.asked[room] = id, self.where[room], fields
        self.waiting[id] = outages
        self.line.send({"type": kind, "room": room, "id": id, **fields})

    def join(self, room, resume, right_epoch, outages):
        fields = {}
        if room in self.views:
            view = self.views[room]
            if self.where[room] == OUT and not resume:
                view.begun = view.last = None
                view.heard.clear()
            if resume and view.last is not None:
                fields = {"since": view.last, "epoch": view.epoch if right_epoch else "another!"}
        self.ask(JOIN, room, outages, **fields)
        self.where[room] = JOINING

    def leave(self, room, outages):
        self.ask(LEAVE, room, outages)
        self.where[room] = LEAVING

    def join_direct(self, room, since, outages):
        self.since[room] = since
        self.serial += 1
        id = f"{self.prefix}-ask-{self.serial}"
        self.waiting[id], self.asked_direct[id] = outages, room
        self.line.send({"type": JOIN, "room": room, "id": id, "since": since})

    def send(self, message, outages):
        id = message["id"]
        self.sent[id] += 1
        self.sent_here.add(id)
        self.waiting.setdefault(id, outages)  # where it is a repeat, the first one's answer may still come
        if self.where.get(message.get("room"), IN) != IN:
            self.turned_away.add(id)
        self.line.send(message)

    # -- what it hears

    def listen(self, outages):
        for message in self.line.hear():
            self.outages = outages
            getattr(self, f"hear_{message['type']}", self.take)(message)

    def hear_2(self, message):
        if message.get("room") is None:
            # The welcome: from now on all direct messages come.
            self.floors = {room: len(log) for room, log in self.log.items()}
            return
        assert self.where[message["room"]] != OUT
        if message["room"] == "typing":
            self.typed.append(message["id"])
        else:
            self.take(message)

    def hear_3(self, message):
        self.heard_direct[message["room"]].append(said(message))

    def hear_4(self, message):
        assert message["ref"] in self.sent_here
        self.waiting.pop(message["ref"], None)
        self.take(message)

    def hear_7(self, message):
        self.answered(message, OUT)

    def hear_8(self, message):
        room = message["room"]
        if room.startswith("dm:"):
            self.waiting.pop(message["ref"])
            self.floors[room] = self.since[room] if message["recovered"] else message["seq"]
            assert message["recovered"] or message["seq"] - self.since[room] > REPLAY_MAX
            return
        assert self.where[room] != OUT
        id, before, fields = self.asked[room]
        since = fields.get("since")
        if room in self.views:
            if not message["recovered"] and id == message["ref"]:
                assert since is not None
                assert fields["epoch"] == "another!" or message["seq"] - since > REPLAY_MAX
            if message["recovered"] and since is not None and before == OUT:
                # So many from the store, and as many that came meanwhile.
                assert message["seq"] - since <= 2 * REPLAY_MAX
            self.take(message)
        self.answered(message, IN)

    def hear_0(self, message):
        code, ref = message["code"], message.get("ref")
        self.take(message)
        if code == "store_unavailable":
            assert ref not in self.waiting or self.outages > self.waiting[ref]
            assert ref != self.asked.get("typing", (None,))[0]
            assert ref not in self.said or self.said[ref].get("room") != "typing"
        elif code == "not_joined":
            assert ref in self.turned_away
        elif code == "unknown_user":
            assert self.said[ref]["to"] == "nobody"
        elif code == "unknown_room":
            assert self.name not in MEMBERS
        else:
            assert code == "id_conflict" and ref in self.acked
        self.waiting.pop(ref, None)
        if ref in self.asked_direct:
            self.floors[self.asked_direct[ref]] = sys.maxsize
        for room, (id, before, _) in self.asked.items():
            if id == ref:
                self.where[room] = before

    def answered(self, message, where):
        room = message["room"]
        if message["ref"] == self.asked[room][0]:
            self.waiting.pop(message["ref"], None)
            self.where[room] = where

    # -- what must be true of it when nothing moves

    def check(self):
        for room, view in self.views.items():
            if view.begun is not None:
                stored = self.log[room][view.begun :]
                here = self.line is not None and self.where[room] == IN
                assert view.heard == (stored if here else stored[: len(view.heard)])
        assert max(Counter(self.typed).values(), default=1) == 1
        if self.line is not None:
            assert not self.waiting
            assert not {JOINING, LEAVING} & set(self.where.values())
            for room, log in self.log.items():
                if room.startswith("dm:") and self.id in room.split(":"):
                    self.check_direct(room, log)

    def check_direct(self, room, log):
        heard = self.heard_direct[room]
        assert sorted(heard) == sorted(set(heard)), "twice"
        assert room in self.since or heard == sorted(heard), "out of order"
        assert set(heard) <= set(log)
        new = set(log[self.floors.get(room, 0) :])
        mine = (
            {one for one in new if one.id in self.sent_here} if room != f"dm:{self.id}:{self.id}" else set()
        )
        assert new - mine <= set(heard)


class Rooms(RuleBasedStateMachine):
    """Two processes, one store, and some clients of three users; each rule is followed by some steps of the house."""

    def __init__(self):
        super().__init__()
        options = quick_settings(replay_max=REPLAY_MAX, ephemeral_rooms=("typing",))
        self.house = House(2, options, NAMES)
        self.store = self.house.store
        self.store.ensure_room("lobby")
        self.store.create_room("den", "public", None)
        attic = self.store.create_room("attic", PRIVATE, identity("ann"), name="attic")
        self.store.join(attic.id, identity("bob"))
        self.log = defaultdict(list)
        self.visitors = []
        #: How often the store has failed, and how often when it last did not.
        self.outages = self.calm = 0
        self.failed = False

    @initialize()
    def begin(self):
        """Each user is on both processes, and in some rooms."""
        for name, process in product(NAMES, (0, 1)):
            self.come(name, process)
        for one, room in product(self.visitors, ("lobby", "den")):
            one.join(room, False, True, self.calm)
        self.settle()

    def teardown(self):
        try:
            if not self.failed:
                self.store.down = self.store.forgetful = False
                self.settle()
        finally:
            for one in self.visitors:
                if one.line is not None:
                    one.go()
            self.house.end()

    def come(self, name, process):
        one = Visitor(name, len(self.visitors), self.log)
        one.come(self.house.connect(process, name), process)
        self.visitors.append(one)

    def pick(self, number, *where):
        """(a client that is connected, a room in which it is so); (None, None) where there are none."""
        here = [one for one in self.visitors if one.line is not None]
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
            one.go()
            self.turn(steps)

    @rule(number=numbers, process=st.integers(0, 1), resend=st.booleans(), steps=steps)
    def come_back(self, number, process, resend, steps):
        away = [one for one in self.visitors if one.line is None]
        if away:
            one = away[number % len(away)]
            one.come(self.house.connect(process, one.name), process)
            for room, view in one.views.items():
                if view.last is not None:
                    one.join(room, True, True, self.calm)
            self.turn(steps)

    @rule(process=st.integers(0, 1), room=st.sampled_from(STORED), steps=steps)
    def house_says(self, process, room, steps):
        self.house.say(process, room, "news")
        self.turn(steps)

    # -- the store

    @rule(loses_answers=st.booleans(), steps=steps)
    def store_fails(self, loses_answers, steps):
        self.store.down, self.store.forgetful = not loses_answers, loses_answers
        self.outages += 1
        self.turn(steps)

    @rule()
    def store_answers(self):
        self.store.down = self.store.forgetful = False
        self.calm = self.outages

    # -- time

    def turn(self, steps):
        for choice in steps:
            self.house.step(choice)
        self.listen()

    @rule()
    def wait(self):
        self.house.turns.clock.now += 1.0

    @rule()
    def settle(self):
        self.house.settle()
        self.listen()
        if not (self.store.down or self.store.forgetful):
            self.failed = True
            for one in self.visitors:
                one.check()
            self.check_acks()
            self.check_rooms()
            self.failed = False

    def listen(self):
        self.failed = True  # unless it comes to its end
        self.read_log()
        for one in self.visitors:
            if one.line is not None:
                one.listen(self.outages)
        self.failed = False

    def read_log(self):
        for room_id, messages in self.store._messages.items():
            log = self.log[self.store._rooms[room_id].name]
            for message in messages[len(log) :]:
                log.append(Said(message.seq, message.user and message.user.id, message.id, message.data))

    def check_acks(self):
        stored = {}
        for room, log in self.log.items():
            assert [one.seq for one in log] == list(range(1, len(log) + 1))
            for one in log:
                assert stored.setdefault((one.sender, one.id), (room, one.seq)) == (room, one.seq)
        for one in self.visitors:
            for id, place in one.acked.items():
                assert place == ("typing", None) or stored[one.id, id] == place

    def check_rooms(self):
        """A process keeps open what somebody is in, and nothing else."""
        for number, process in enumerate(self.house.processes):
            here = [one for one in self.visitors if one.line is not None and one.process == number]
            wanted = {room for one in here for room in ROOMS if one.where[room] == IN}
            opened = process.hub.rooms()
            assert {room.name for room in opened} == wanted | {"lobby"}
            assert not any(room.newcomers for room in opened)


# Without Phase.shrink, which may take minutes: add it for a shorter story than the one that was found.
Rooms.TestCase.settings = settings(
    max_examples=200,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
)
TestRooms = Rooms.TestCase
