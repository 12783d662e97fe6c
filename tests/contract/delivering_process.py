"""A model of a process that stores and delivers messages to one Socket.IO client, as chat.rooms.group_commit does."""

from itertools import count
from typing import Any, NamedTuple

from chat.socketio.offsets import Cursor, RoomPosition
from chat.store.history import PUBLIC
from chat.wire.envelope import direct_room
from tests.contract.drafts import ADA, BOB, CY, direct, draft

#: The process that serves the client, and a peer that does not.
HERE, PEER = 1, 2
#: Rooms, and users who write direct messages to the client's user Ada.
ROOMS, SENDERS = ["one", "two", "three"], {"bob": BOB, "cy": CY}
numbers = count(1)


class Event(NamedTuple):
    """A message as the client received it, and the state of the model at that time."""

    #: The part of the offset about the store.
    part: bytes
    #: {(room, seq)} of all that the client has received.
    received: set
    #: {room: seq from which the client receives it}
    floors: dict
    #: The position within the messages that a join replays; None outside a join.
    joining: Any
    #: Messages that the peer has stored since the process's mark.
    since_mark: set


class DeliveringProcess:
    """The process; `events` is what the client of Ada has received. Places are keys of ROOMS and SENDERS."""

    def __init__(self, history):
        self.history, self.origin, self.undelivered = history, HERE, set()
        self.names = {room: f"{room} {next(numbers)}" for room in ROOMS}
        self.rows = {room: history.create_room(name, PUBLIC, None) for room, name in self.names.items()}
        self.mark = history.changed(None)[0]
        self.last_pk = 0
        self.cursor = Cursor()
        self.cursor.progress = self
        #: {room's name: the last delivered seq}
        self.last_seqs = {}
        #: {room's name: seq from which the client receives it}
        self.floors = {}
        self.received = set()
        self.events = []
        self.since_mark = set()

    # -- steps

    def append(self, places):
        """Store messages and deliver them. A room with a gap is read from the store."""
        messages = self.store(places, HERE)
        held = {}
        for message in messages:
            self.last_pk = max(self.last_pk, message.pk)
            if message.seq == self.last_seq(message.room) + 1:
                self.deliver(message)
            else:
                held[message.room] = message
                self.undelivered.add(message.pk)
        for last in held.values():
            self.deliver_upto(last.room_id, last.room, last.seq)

    def append_at_peer(self, places):
        self.since_mark |= set(self.store(places, PEER))

    def receive_bus_message(self, place):
        """The peer's messages of one place arrive; missing ones before them are read from the store."""
        room = self.room_of(place)
        arrived = [message for message in self.since_mark if message.room == room]
        if arrived:
            last = max(arrived, key=lambda message: message.seq)
            self.deliver_upto(last.room_id, room, last.seq)

    def check_store(self):
        """Deliver what has been committed since the mark."""
        mark, rows = self.history.changed(self.mark)
        for row in rows:
            if row.name in self.last_seqs or row.name.startswith("dm:"):
                self.deliver_upto(row.id, row.name, row.last_seq)
        self.mark, self.since_mark = mark, set()

    def join(self, place, since):
        """The client joins a room and is sent the last `since` messages."""
        room, row = self.names[place], self.rows[place]
        if room in self.floors:
            return
        if room not in self.last_seqs:
            self.last_seqs[room] = self.history.room(room).last_seq
        floor = self.floors[room] = self.last_seqs[room] + 1
        for message in self.history.after(row.id, max(0, floor - 1 - since), since, floor - 1):
            self.send(message, self.cursor.out_of_turn(message), RoomPosition(row.id, message.seq))

    # -- parts of steps

    def room_of(self, place):
        return direct_room(ADA.id, SENDERS[place].id) if place in SENDERS else self.names[place]

    def store(self, places, origin):
        drafts = [self._draft(place) for place in sorted(places, key=lambda place: (place in SENDERS, place))]
        return [stored.message for stored in self.history.append(drafts, origin)]

    def _draft(self, place):
        if place in SENDERS:
            return direct("Ada", sender=SENDERS[place], to_id=ADA.id)
        return draft(room=self.names[place], sender=BOB)

    def deliver_upto(self, room_id, room, seq):
        for message in self.history.after(room_id, self.last_seq(room), 1000, seq):
            if message.origin == HERE:
                self.last_pk = max(self.last_pk, message.pk)
            self.deliver(message)

    def last_seq(self, room):
        return self.last_seqs.get(room, 0)

    def deliver(self, message):
        self.last_seqs[message.room] = message.seq
        part = self.cursor.advance(message)
        if message.room in self.floors or message.room.startswith("dm:"):
            self.send(message, part)

    def send(self, message, part, joining=None):
        self.received.add((message.room, message.seq))
        state = set(self.received), dict(self.floors), joining, set(self.since_mark)
        self.events.append(Event(part, *state))

    # -- what is true

    def missed(self, event):
        """All that the client has yet to receive if it disconnected after `event`."""
        found = []
        joining = event.joining
        for room in [*event.floors, *map(self.room_of, SENDERS)]:
            row = self.history.room(room)
            if row is None:
                continue
            for message in self.history.export(row.id):
                is_joining = joining is not None and joining.room_id == row.id
                floor = joining.seq + 1 if is_joining else event.floors.get(room, 1)
                if message.seq >= floor and (room, message.seq) not in event.received:
                    found.append(message)
        return found
