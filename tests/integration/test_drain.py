"""A worker that is told to stop sends its clients away: a crowd over CHAT_DRAIN_SECONDS, a few at once."""

import select
import signal
import time
from contextlib import contextmanager
from itertools import count

import pytest

from tests import wsclient
from tests.databases import stored
from tests.resumer import ACK, GROUP, JOIN, SYNCED
from tests.servers import Server
from tests.tokens import token

CROWD, TALKERS = 600, 20
WORKERS = ("gunicorn-gevent", "gunicorn-gthread")
#: Room for a crowd that comes from one address and talks without a pause.
ROOMY = {"CHAT_MAX_CONNECTIONS_PER_IP": "5000", "CHAT_RATE_LIMIT": "0"}
#: Seconds that a drain is never waited for here.
FOR_EVER = "25"


class Guest:
    """One client, and how it was sent away: `code`, and `at` in seconds of the test's clock."""

    def __init__(self, server, name, talks):
        self.name, self.talks = name, talks
        self.socket = server.socket(token=token(name), query="&lobby=0&roster=diff")
        self.sock = self.socket.sock
        self.numbers, self.acks, self.code, self.at = count(), {}, None, None
        if talks:
            self.socket.send_json({"type": JOIN, "room": "lobby"})

    def talk(self):
        self.sock.settimeout(wsclient.TIMEOUT)
        self.socket.send_json({"type": GROUP, "data": "hi", "id": f"{self.name}-{next(self.numbers)}"})

    def read(self):
        """Take what has come; whoever talks says the next thing as soon as the last is acknowledged."""
        try:
            for message in self.socket.recv_here():
                if message["type"] == ACK:
                    self.acks[message["id"]] = time.monotonic()
                if message["type"] in (SYNCED, ACK):
                    self.talk()
        except (OSError, wsclient.Closed):
            self.code = (self.socket.closed or (1006, ""))[0]
            self.at = time.monotonic()
            self.sock.close()


class Party:
    """Guests who are all read in one thread."""

    def __init__(self, server, size, talkers=0):
        self.guests = [Guest(server, f"g{number}", number < talkers) for number in range(size)]
        self._poll = select.poll()
        self._here = {guest.sock.fileno(): guest for guest in self.guests}
        for fd in self._here:
            self._poll.register(fd, select.POLLIN)

    def until(self, condition, patience=30.0):
        deadline = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < deadline, f"{len(self._here)} are still here"
            for fd, _ in self._poll.poll(50):
                self._here[fd].read()
                if self._here[fd].code is not None:
                    self._poll.unregister(fd)
                    del self._here[fd]

    def until_all_talk(self):
        self.until(lambda: all(guest.acks for guest in self.guests if guest.talks))

    def until_one_has_gone(self):
        self.until(lambda: len(self._here) < len(self.guests))

    def until_all_have_gone(self):
        self.until(lambda: not self._here)

    @property
    def codes(self):
        return {guest.code for guest in self.guests}

    @property
    def goings(self):
        """When each one went, in order."""
        return sorted(guest.at for guest in self.guests)

    @property
    def acks(self):
        """{id: when it was acknowledged} of all that was said."""
        return {id: at for guest in self.guests for id, at in guest.acks.items()}

    def end(self):
        for guest in self.guests:
            guest.sock.close()


@contextmanager
def party(server, size, talkers=0):
    guests = Party(server, size, talkers)
    try:
        yield guests
    finally:
        guests.end()


@pytest.fixture
def start(make_server):
    """start(kind, seconds): a server whose drain takes so long."""
    return lambda kind, seconds: make_server(kind, {**ROOMY, "CHAT_DRAIN_SECONDS": seconds})


@pytest.mark.parametrize("kind", WORKERS)
def test_many_clients_are_drained_in_batches_and_every_acknowledged_message_is_stored(kind, start):
    server = start(kind, "3")
    with party(server, CROWD, TALKERS) as guests:
        guests.until_all_talk()
        server.signal(signal.SIGTERM)
        guests.until_all_have_gone()
    assert server.wait_exit(20) == 0, server.log()
    assert guests.codes == {1012}
    first, last = guests.goings[0], guests.goings[-1]
    assert last - first > 1.5
    # Who has yet to go is served as ever.
    assert any(at > first + 0.5 for at in guests.acks.values())
    messages = {one.id: one for one in stored(server.env["CHAT_DATABASE_URL"])["lobby"]}
    assert guests.acks.keys() <= messages.keys()
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("kind", WORKERS)
def test_a_client_that_connects_during_the_replacement_gets_a_new_worker(kind, start):
    server = start(kind, "3")
    with party(server, 300) as guests:
        server.signal(signal.SIGHUP)
        guests.until_one_has_gone()
        with server.socket(token=token("late"), timeout=30) as newcomer:
            guests.until_all_have_gone()
            newcomer.recv_json(type=1)
            newcomer.send_json({"type": GROUP, "data": "here", "id": "here"})
            assert newcomer.recv_json(type=ACK)
    assert guests.codes == {1012}


@pytest.mark.parametrize("kind", WORKERS)
def test_few_clients_are_drained_at_once(kind, start):
    server = start(kind, FOR_EVER)
    with party(server, 30) as guests:
        server.signal(signal.SIGTERM)
        guests.until_all_have_gone()
    assert guests.codes == {1012}
    assert server.wait_exit(15) == 0, server.log()


@pytest.mark.parametrize("kind", WORKERS)
def test_after_ctrl_c_even_many_clients_are_closed_at_once(kind, start):
    server = start(kind, FOR_EVER)
    with party(server, 300) as guests:
        server.interrupt()
        guests.until_all_have_gone()
    assert guests.codes == {1012}
    assert server.wait_exit(15) == 0, server.log()


@pytest.mark.parametrize("kind", WORKERS)
def test_ctrl_c_cuts_a_drain_short(kind, start):
    server = start(kind, FOR_EVER)
    with party(server, 300) as guests:
        server.signal(signal.SIGTERM)
        guests.until_one_has_gone()
        server.interrupt()
        assert server.wait_exit(15) == 0, server.log()
        guests.until_all_have_gone()
    assert guests.codes == {1012}


def test_a_draining_server_that_still_accepts_refuses_new_sockets(start):
    """`chat.drain()` takes as long as it was told to at the most, whatever CHAT_DRAIN_SECONDS says."""
    server = start("pywsgi", FOR_EVER)
    with party(server, 300) as guests:
        server.signal(signal.SIGTERM)
        guests.until_one_has_gone()
        status, _, body = server.get("/healthz")
        assert (status, '"draining"' in body) == (503, True)
        with pytest.raises(wsclient.Refused) as refused:
            server.socket(token=token("late"))
        assert refused.value.status == 503
        guests.until_all_have_gone()
    assert guests.codes == {1012}
    assert guests.goings[-1] > guests.goings[0] + 0.2
    assert server.wait_exit(15) == 0, server.log()


@pytest.mark.parametrize(
    ("seconds", "options", "reason"),
    [
        ("30", (), "CHAT_DRAIN_SECONDS is 30. Set it below gunicorn's graceful_timeout, 30."),
        (
            "5",
            ("--graceful-timeout", "5"),
            "CHAT_DRAIN_SECONDS is 5. Set it below gunicorn's graceful_timeout, 5.",
        ),
        ("10.5", ("--timeout", "10"), "CHAT_DRAIN_SECONDS is 10.5. Set it below gunicorn's timeout, 10."),
    ],
)
def test_a_drain_that_gunicorn_would_cut_short_is_refused_at_the_start(seconds, options, reason):
    server = Server("gunicorn-gevent", {"CHAT_DRAIN_SECONDS": seconds}, options=options)
    try:
        server.launch()
        assert server.wait_exit() == 1
        assert reason in server.log()
        assert "Traceback" not in server.log()
    finally:
        server.stop()


def test_gunicorn_without_a_timeout_cuts_nothing_short(make_server):
    server = make_server("gunicorn-gevent", {"CHAT_DRAIN_SECONDS": "20"}, options=("--timeout", "0"))
    assert server.get("/healthz")[0] == 200
