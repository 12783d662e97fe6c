"""A client that changes from long-polling to a WebSocket while what it asked for is under way, in many orders."""

import json
import random
import socket
from contextlib import closing

import pytest

from chat.rooms.client import Taken
from chat.socketio.sessions import Handshake
from chat.store import migrate
from tests.io_house import Line, Process, io_settings, new_clock
from tests.server_frames import frames
from tests.wsclient import text_frame

ORDERS = 40


class Climber:
    """ann, who has connected to the chat by long-polling."""

    def __init__(self, process):
        self.process, self.engine = process, process.runtime.io_engine
        self.line = None
        greeting = self._ask(self.engine.open_polling, Handshake("", "en", "ann", False))
        self.sid = json.loads(greeting[1:])["sid"]
        self.post('40{"token":"ann"}')
        self.settle()

    def post(self, packet):
        self._ask(self.engine.post, self.sid, packet.encode())

    def climb(self, *packets):
        """Let a WebSocket take over, which goes on with these packets; return the client's end of it."""
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        early = b"".join(map(text_frame, ("2probe", "5", *packets)))
        self._ask(self.engine.probe, Taken(ours.detach(), b"", early), self.sid)
        self.line = Line(theirs)
        return self.line

    def poll(self):
        """The packets that it hears if it polls once more."""
        poller = self._ask(self.engine.poll, self.sid, self.process.runtime.driver.event())
        return [payload.decode() for _, payload in frames(poller.take_all())]

    def settle(self):
        with self.process.scheduled():
            self.process.scheduler.run(1.25)

    def _ask(self, function, *args):
        with self.process.scheduled():
            return self.process.runtime.hub.reactor.call_and_wait(function, *args)


@pytest.fixture
def climbers(tmp_path):
    """Climbers, each on a process of its own, with the chance that says in which order its steps are."""
    url = f"sqlite:///{tmp_path}/chat.db"
    migrate.upgrade(url)

    def play():
        for number in range(ORDERS):
            process = Process(url, io_settings(ephemeral_rooms=("typing",)), new_clock())
            climber = Climber(process)
            try:
                yield climber, random.Random(number)
            finally:
                climber.line.cut()
                process.kill()

    with closing(play()) as games:
        yield games


def some_steps(process, chance):
    for _ in range(chance.randrange(8)):
        process.step(chance.randrange(8))


def answers(line):
    """{number of the request: its answer}"""
    acks = [packet[2:].partition("[") for packet in line.hear() if packet.startswith("43")]
    return {int(number): json.loads(f"[{rest}")[0] for number, _, rest in acks}


def test_a_fresh_token_counts(climbers):
    for ann, chance in climbers:
        ann.post('420["auth",{"data":"ann"}]')
        some_steps(ann.process, chance)
        line = ann.climb()
        ann.settle()
        assert answers(line) == {0: {"data": None}}


def test_a_bad_token_ends_the_session(climbers):
    for ann, chance in climbers:
        ann.post('420["auth",{"data":"bob"}]')
        some_steps(ann.process, chance)
        line = ann.climb()
        ann.settle()
        heard = line.hear() or ann.poll()  # it may have ended before
        assert "token_mismatch" in "".join(heard) and "41" in heard


def test_a_room_joined_before_and_after_the_upgrade_is_joined_once(climbers):
    for ann, chance in climbers:
        ann.post('420["join",{"room":"typing"}]')
        some_steps(ann.process, chance)
        line = ann.climb('421["join",{"room":"typing"}]')
        some_steps(ann.process, chance)
        ann.settle()
        assert answers(line).keys() >= {1}
        line.send('422["leave",{"room":"typing"}]')
        ann.settle()
        assert answers(line).keys() == {2}
        assert ann.process.runtime.hub.rooms.get("typing") is None
