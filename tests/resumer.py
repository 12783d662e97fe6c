"""What a client that resumes knows: what it has heard, what it has said, and where to go on. No I/O.

Nothing here drops what comes twice or puts in order what comes late: tests compare the raw order with the store.
"""

from typing import NamedTuple

ERROR, GROUP, DIRECT, ACK, JOIN, LEAVE, SYNCED = 0, 2, 3, 4, 6, 7, 8


class Said(NamedTuple):
    """A stored message, as every client hears it and as it stands in the store."""

    seq: int
    sender: str | None
    id: str
    data: str


def said(message):
    """The Said of a message of type 2 or 3."""
    user = message["user"]
    return Said(message["seq"], user and user["id"], message["id"], message["data"])


class View:
    """One room as one client has heard it, over all its connections."""

    def __init__(self, room):
        self.room = room
        self.epoch = None
        #: Where its history begins: the seq of its first Synced, or of the last that was not `recovered`.
        self.begun = None
        #: The newest seq that it knows of: its `since`.
        self.last = None
        #: What came since it began, in the order in which it came.
        self.heard = []
        #: Whether it is in the room on the connection of now.
        self.synced = False

    def joining(self):
        """The Join that goes on where it was."""
        join = {"type": JOIN, "room": self.room}
        return join if self.last is None else {**join, "since": self.last, "epoch": self.epoch}

    def hear(self, message):
        self.heard.append(said(message))
        self.last = message["seq"]

    def sync(self, message):
        """Take a Synced: it says where the room stands, which is what was heard, or where to begin anew."""
        if self.begun is None or not message["recovered"]:
            self.begun, self.heard = message["seq"], []
        else:
            assert (message["seq"], message["epoch"]) == (self.last, self.epoch)
        self.last, self.epoch, self.synced = message["seq"], message["epoch"], True


class Resumer:
    """One user's client: a View of each of its rooms, and its own messages until they are acknowledged."""

    def __init__(self, name, rooms=(), prefix=""):
        self.name, self.id, self.prefix = name, f"id-{name}", prefix or name
        self.views = {room: View(room) for room in rooms}
        #: {id: message} in the order of sending.
        self.unacked = {}
        #: {id: (room, seq)}
        self.acked = {}
        #: {id: its message}, of all that it ever said.
        self.said = {}
        #: Direct messages, in the order in which they came.
        self.direct = []
        #: (code, ref) of each Error.
        self.errors = []

    # -- what it sends

    def begin(self):
        """A new connection: what to send at first."""
        for view in self.views.values():
            view.synced = False
        return [view.joining() for view in self.views.values()]

    def say(self, room, data):
        return self._say({"type": GROUP, "room": room, "data": data})

    def tell(self, to, data):
        return self._say({"type": DIRECT, "to": to, "data": data})

    def _say(self, message):
        id = f"{self.prefix}-{len(self.said)}"
        self.said[id] = self.unacked[id] = {**message, "id": id}
        return self.said[id]

    def resend(self):
        """All that was not acknowledged, with the same ids."""
        return list(self.unacked.values())

    @property
    def synced(self):
        return all(view.synced for view in self.views.values())

    # -- what it hears

    def take(self, message):
        if message["type"] == GROUP and message.get("room") in self.views:
            self.views[message["room"]].hear(message)
        elif message["type"] == DIRECT:
            self.direct.append((message["room"], said(message)))
        elif message["type"] == ACK:
            self._take_ack(message)
        elif message["type"] == SYNCED and message["room"] in self.views:
            self.views[message["room"]].sync(message)
        elif message["type"] == ERROR:
            self.errors.append((message["code"], message.get("ref")))

    def _take_ack(self, message):
        """Note it; one that comes again says the same."""
        id, place = message["ref"], (message["room"], message.get("seq"))
        assert self.acked.setdefault(id, place) == place
        self.unacked.pop(id, None)
