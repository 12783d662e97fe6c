"""A Socket.IO client over a bare WebSocket: it sees every packet, and resumes from any offset."""

import json
from contextlib import contextmanager
from itertools import count

from tests.integration.socketio_wire import Endpoint, WebSocketSession
from tests.tokens import token


class RawClient:
    """One connection to the chat. `events` are [name, *args]; an offset is the last of the args."""

    def __init__(self, endpoint, name, **auth):
        self.session = WebSocketSession(endpoint)
        self.events, self.acks, self._ids = [], {}, count()
        self.session.send("40" + json.dumps({"token": token(name), **auth}))
        answer = self.session.receive()
        assert answer.startswith("40"), answer
        self.answer_data = json.loads(answer[2:])
        self.id, self.pid = self.answer_data["sid"], self.answer_data["pid"]

    @property
    def offset(self):
        """The offset that a stock client would keep."""
        return next((args[-1] for args in reversed(self.events) if isinstance(args[-1], str)), None)

    def take(self):
        """Read the next packet."""
        packet = self.session.receive()
        if packet.startswith("42"):
            self.events.append(json.loads(packet[2:]))
        elif packet.startswith("43"):
            start = packet.index("[")
            self.acks[int(packet[2:start])] = json.loads(packet[start:])
        return packet

    def take_until(self, wanted):
        while not wanted(self):
            self.take()

    def emit(self, event, *args):
        self.session.send("42" + json.dumps([event, *args]))

    def begin_call(self, event, *args):
        number = next(self._ids)
        self.session.send(f"42{number}" + json.dumps([event, *args]))
        return number

    def answer(self, number):
        self.take_until(lambda one: number in one.acks)
        return self.acks[number][0]

    def call(self, event, *args):
        return self.answer(self.begin_call(event, *args))

    def received(self, *names):
        """(event, room, seq, text) of each stored message, and of each event of `names`."""
        messages = [
            (name, *args) for name, *args in self.events if name in ("group_chat", "single_chat", *names)
        ]
        return [
            (name, m.get("room"), m.get("seq"), m.get("data"))
            for name, m, *_ in messages
            if name in names or "seq" in m
        ]

    def settle(self):
        """Read all that the server has sent so far."""
        self.call("group_list", {})

    def cut(self):
        self.session.ws.sock.close()


@contextmanager
def raw_clients(site):
    """Yield a function: connect("ann", pid=…, offset=…) is a RawClient."""
    with Endpoint(site, "/socket.io/") as endpoint:
        yield lambda name, **auth: RawClient(endpoint, name, **auth)
