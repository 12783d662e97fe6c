"""A client that upgrades from long-polling to WebSocket while its requests are in progress, in many orders."""

import json
import random
import socket
from contextlib import closing

import pytest

from chat.rooms.client import Taken
from chat.socketio.sessions import OpeningRequest
from chat.store import migrate
from tests.server_frames import frames
from tests.socketio_processes import Line, Process, io_settings, new_clock
from tests.wsclient import text_frame

ORDERS = 40


class UpgradingClient:
    """A client that is connected to the chat over long-polling."""

    def __init__(self, process):
        self.process, self.engine = process, process.runtime.io_engine
        self.line = None
        greeting = self._ask(self.engine.open_polling, OpeningRequest("", "en", "ann", False))
        self.sid = json.loads(greeting[1:])["sid"]
        self.post('40{"token":"ann"}')
        self.settle()

    def post(self, packet):
        self._ask(self.engine.post, self.sid, packet.encode())

    def upgrade(self, *packets):
        """Upgrade to a WebSocket that then sends these packets; return the client's end of it."""
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        early = b"".join(map(text_frame, ("2probe", "5", *packets)))
        self._ask(self.engine.probe, Taken(ours.detach(), b"", early), self.sid)
        self.line = Line(theirs)
        return self.line

    def poll(self):
        """Return the packets of one more poll."""
        poller = self._ask(self.engine.poll, self.sid, self.process.runtime.driver.event())
        return [payload.decode() for _, payload in frames(poller.take_all())]

    def settle(self):
        with self.process.scheduled():
            self.process.scheduler.run(1.25)

    def _ask(self, function, *args):
        with self.process.scheduled():
            return self.process.runtime.hub.reactor.call_and_wait(function, *args)


@pytest.fixture
def clients(tmp_path):
    """(client, random generator of the order of steps) pairs, each client on a process of its own."""
    url = f"sqlite:///{tmp_path}/chat.db"
    migrate.upgrade(url)

    def play():
        for number in range(ORDERS):
            process = Process(url, io_settings(ephemeral_rooms=("typing",)), new_clock())
            client = UpgradingClient(process)
            try:
                yield client, random.Random(number)
            finally:
                client.line.cut()
                process.kill()

    with closing(play()) as runs:
        yield runs


def some_steps(process, chance):
    for _ in range(chance.randrange(8)):
        process.step(chance.randrange(8))


def answers(line):
    """{number of the request: its answer}"""
    acks = [packet[2:].partition("[") for packet in line.receive() if packet.startswith("43")]
    return {int(number): json.loads(f"[{rest}")[0] for number, _, rest in acks}


def test_a_fresh_token_counts(clients):
    for ann, chance in clients:
        ann.post('420["auth",{"data":"ann"}]')
        some_steps(ann.process, chance)
        line = ann.upgrade()
        ann.settle()
        assert answers(line) == {0: {"data": None}}


def test_a_bad_token_ends_the_session(clients):
    for ann, chance in clients:
        ann.post('420["auth",{"data":"bob"}]')
        some_steps(ann.process, chance)
        line = ann.upgrade()
        ann.settle()
        received = line.receive() or ann.poll()  # it may have ended before the upgrade
        assert "token_mismatch" in "".join(received) and "41" in received


def test_a_room_joined_before_and_after_the_upgrade_is_joined_once(clients):
    for ann, chance in clients:
        ann.post('420["join",{"room":"typing"}]')
        some_steps(ann.process, chance)
        line = ann.upgrade('421["join",{"room":"typing"}]')
        some_steps(ann.process, chance)
        ann.settle()
        assert answers(line).keys() >= {1}
        line.send('422["leave",{"room":"typing"}]')
        ann.settle()
        assert answers(line).keys() == {2}
        assert ann.process.runtime.hub.rooms.get("typing") is None
