"""A client that checks each answer against what the server may answer: rooms as they are seen from outside."""

import sys
from collections import Counter, defaultdict

from tests.resumer import JOIN, LEAVE, Resumer, said

#: attic is private to its members; messages in typing are not stored.
ROOMS = ["lobby", "den", "attic", "typing"]
STORED = ROOMS[:3]
MEMBERS = {"ann", "bob"}
#: Small, so that a client often misses more.
REPLAY_MAX = 3
WRONG_EPOCH = "another!"

#: A client's state in a room, as far as it knows: in two of them it waits for an answer.
OUT, JOINING, IN, LEAVING = "out", "joining", "in", "leaving"


class ClientModel(Resumer):
    """A client and its model: its state in each room, the answers it waits for, the messages it must have received."""

    def __init__(self, name, number, log):
        super().__init__(name, STORED, f"{name}{number}")
        self.log = log
        self.line = None
        self.serial = 0
        #: {id: how often it was sent}
        self.sent = Counter()
        #: Ids of messages sent while its state in their room was not certain, and of those refused for that.
        self.unsure, self.not_joined = set(), set()
        #: Ids of the messages received in the room that stores none.
        self.typed = []
        #: The direct messages received on earlier connections, {conversation: set of Said}.
        self.received_before = defaultdict(set)
        self.received_direct = {}

    def connect(self, line, process, outages=0):
        """Begin a connection; `outages` is how often the store had failed when it last answered."""
        self.begin()
        self.line, self.process, self.calm = line, process, outages
        for room, received in self.received_direct.items():
            self.received_before[room].update(received)
        self.where = dict.fromkeys(ROOMS, OUT)
        #: {room: (id of the last Join or Leave, the state before it, the Join's fields)}
        self.asked = {}
        #: {ref: outages at the time of sending} of each message that will be answered.
        self.waiting = {}
        self.sent_here = set()
        #: {conversation: the messages of it received on this connection}
        self.received_direct = defaultdict(list)
        #: {conversation: the last seq that need not arrive on this connection}, after the welcome.
        self.floors = None
        #: {conversation: since} of those joined on this connection; a refused Join may have left out any message.
        self.since = {}
        self.asked_direct = {}

    def disconnect(self):
        self.line.close()
        self.line = None

    # -- what it sends

    def new_request_id(self):
        self.serial += 1
        return f"{self.prefix}-ask-{self.serial}"

    def ask(self, kind, room, outages, **fields):
        """Send a Join or a Leave; the answer to the one before need not arrive any more."""
        id = self.new_request_id()
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
                fields = {"since": view.last, "epoch": view.epoch if right_epoch else WRONG_EPOCH}
        self.ask(JOIN, room, outages, **fields)
        self.where[room] = JOINING

    def leave(self, room, outages):
        self.ask(LEAVE, room, outages)
        self.where[room] = LEAVING

    def join_direct(self, room, since, outages):
        id, self.since[room] = self.new_request_id(), since
        self.waiting[id], self.asked_direct[id] = outages, room
        self.line.send({"type": JOIN, "room": room, "id": id, "since": since})

    def send(self, message, outages):
        id = message["id"]
        self.sent[id] += 1
        self.sent_here.add(id)
        self.waiting.setdefault(id, outages)  # of a repeated message the first one's answer may still arrive
        if self.where.get(message.get("room"), IN) != IN:
            self.unsure.add(id)
        self.line.send(message)

    # -- what it receives

    def listen(self, outages):
        for message in self.line.receive():
            self.outages = outages
            getattr(self, f"on_{message['type']}", self.take)(message)

    def on_2(self, message):
        if message.get("room") is None:
            # The welcome: from now on all direct messages arrive.
            self.floors = {room: len(log) for room, log in self.log.items()}
            #: Whether the store may have failed while it waited to be admitted.
            self.is_unsure = self.outages > self.calm
            return
        assert self.where[message["room"]] != OUT
        if message["room"] == "typing":
            self.typed.append(message["id"])
        else:
            self.take(message)

    def on_3(self, message):
        self.received_direct[message["room"]].append(said(message))

    def on_4(self, message):
        assert message["ref"] in self.sent_here
        self.waiting.pop(message["ref"], None)
        self.take(message)

    def on_7(self, message):
        self.answered(message, OUT)

    def on_8(self, message):
        room = message["room"]
        if room.startswith("dm:"):
            self.synced_direct(room, message)
            return
        assert self.where[room] != OUT
        if room in self.views:
            self.check_synced(message, *self.asked[room])
            self.take(message)
        self.answered(message, IN)

    def synced_direct(self, room, message):
        self.waiting.pop(message["ref"])
        self.floors[room] = self.since[room] if message["recovered"] else message["seq"]
        assert message["recovered"] or message["seq"] - self.since[room] > REPLAY_MAX

    def check_synced(self, message, id, before, fields):
        """Assert that a Synced is `recovered` exactly where it may be."""
        since = fields.get("since")
        if not message["recovered"] and id == message["ref"]:
            assert since is not None
            assert fields["epoch"] == WRONG_EPOCH or message["seq"] - since > REPLAY_MAX
        if message["recovered"] and since is not None and before == OUT:
            # As many from the store, and as many that arrived meanwhile.
            assert message["seq"] - since <= 2 * REPLAY_MAX

    def on_0(self, message):
        code, ref = message["code"], message.get("ref")
        self.take(message)
        getattr(self, f"refused_{code}")(ref)
        self.waiting.pop(ref, None)
        if ref in self.asked_direct:
            self.floors[self.asked_direct[ref]] = sys.maxsize
        for room, (id, before, _) in self.asked.items():
            if id == ref:
                self.where[room] = before

    def refused_store_unavailable(self, ref):
        assert ref not in self.waiting or self.outages > self.waiting[ref]
        assert ref != self.asked.get("typing", (None,))[0]
        assert ref not in self.said or self.said[ref].get("room") != "typing"

    def refused_not_joined(self, ref):
        assert ref in self.unsure
        self.not_joined.add(ref)

    def refused_unknown_user(self, ref):
        assert self.said[ref]["to"] == "nobody"

    def refused_unknown_room(self, ref):
        assert self.name not in MEMBERS

    def refused_id_conflict(self, ref):
        assert ref in self.acked

    def answered(self, message, where):
        room = message["room"]
        if message["ref"] == self.asked[room][0]:
            self.waiting.pop(message["ref"], None)
            self.where[room] = where

    # -- what must hold when the processes are at rest

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

    def asked_for(self, room, one):
        """Whether this connection's Join of a conversation asked for that message."""
        return room in self.since and one.seq > self.since[room]

    def check_direct(self, room, log):
        received = self.received_direct[room]
        assert sorted(received) == sorted(set(received)), "twice"
        if not self.is_unsure:
            again = {
                one for one in self.received_before[room] & set(received) if not self.asked_for(room, one)
            }
            assert not again, "again on this connection"
        assert room in self.since or received == sorted(received), "out of order"
        assert set(received) <= set(log)
        new = set(log[self.floors.get(room, 0) :])
        if room != f"dm:{self.id}:{self.id}":
            new = {one for one in new if one.id not in self.sent_here}
        assert new <= set(received)
