"""The workers are replaced while everybody talks: nobody loses a message, or hears one twice."""

import os
import signal

import pytest

from tests.databases import stored
from tests.integration.people import make_room
from tests.leftovers import children
from tests.machines import connections, sockets_of
from tests.servers import Server
from tests.steady_crowd import SteadyClient, SteadyCrowd
from tests.waiting import until

#: More than go at once, on each of two workers.
CLIENTS, TALKERS = 240, 60
ROOMS = ("lobby", "den")
DRAIN_SECONDS = 2
ENV = {
    "CHAT_DRAIN_SECONDS": DRAIN_SECONDS,
    "CHAT_RATE_LIMIT": 0,
    "CHAT_MAX_CONNECTIONS_PER_IP": 10_000,
}
#: Seconds that a restart may take on a busy machine.
PATIENCE = 60.0


class Guest(SteadyClient):
    """A client that notes how its connections ended, and whether it ever had to begin anew."""

    def __init__(self, *args):
        super().__init__(*args)
        self.codes, self.begun = [], {}

    def connect(self):
        if self.socket is not None:
            self.codes.append(self.socket.closed[0])
        super().connect()

    def note_begin(self):
        self.begun = {room: view.begun for room, view in self.views.items()}

    @property
    def has_a_hole(self):
        return any(view.begun != self.begun[room] for room, view in self.views.items())


@pytest.fixture(params=[(1, "sqlite"), (2, "postgresql")], ids=["one worker", "two workers"])
def site(request, fresh_database):
    """A server of so many workers; `database` is its URL."""
    workers, kind = request.param
    env = {**ENV, "CHAT_DATABASE_URL": fresh_database(kind), "WEB_CONCURRENCY": workers}
    if workers > 1:
        env["CHAT_REDIS_URL"] = request.getfixturevalue("valkey_server").url
        env["CHAT_REDIS_PREFIX"] = "rolling"
    with Server("gunicorn-gevent", env) as server:
        make_room(server, "den")
        server.workers, server.database = workers, env["CHAT_DATABASE_URL"]
        until(lambda: len(children(server.pid)) == workers)
        yield server


@pytest.fixture
def crowd(site):
    """Everybody is there, has met, and talks."""
    guests = [Guest(site, f"g{n}", ROOMS, f"g{n ^ 1}") for n in range(CLIENTS)]
    talkers = guests[:TALKERS]
    with SteadyCrowd(guests, talkers) as crowd:
        crowd.until_synced()
        for guest in talkers:
            guest.send(guest.tell(guest.peer, "hello"))
        crowd.until(lambda: all(guest.direct for guest in talkers))
        for guest in guests:
            guest.note_begin()
        crowd.begin_to_talk()
        yield crowd


def restart_all(site, crowd):
    """SIGHUP: gunicorn starts new workers and tells the old ones to stop."""
    old = workers_of(site)
    site.signal(signal.SIGHUP)
    wait_for_others(site, crowd, old)
    assert all(guest.codes for guest in crowd.clients)


def restart_one(site, crowd):
    """SIGTERM to one worker, the one with most clients: gunicorn starts another in its place."""
    here = connections(site.port).keys()
    one = max(workers_of(site), key=lambda pid: len(sockets_of(pid) & here))
    os.kill(one, signal.SIGTERM)
    wait_for_others(site, crowd, {one})


def workers_of(site):
    return set(children(site.pid))


def wait_for_others(site, crowd, old):
    """Let all talk until there are others in the place of `old`, and everybody is back."""
    crowd.until(lambda: not old & workers_of(site) and len(workers_of(site)) == site.workers, PATIENCE)
    crowd.until_synced()
    crowd.go_on(0.5)


def test_nobody_loses_or_doubles_a_message_while_the_workers_are_replaced(site, crowd):
    restart_all(site, crowd)
    said = sum(len(guest.said) for guest in crowd.clients)
    restart_one(site, crowd)
    restart_all(site, crowd)
    assert sum(len(guest.said) for guest in crowd.clients) > said
    assert {code for guest in crowd.clients for code in guest.codes} == {1012}
    assert not [guest.errors for guest in crowd.clients if guest.errors]
    crowd.until_as_stored(lambda: stored(site.database))
    assert not any(guest.has_a_hole for guest in crowd.clients)
    log = site.log()
    for bad in ("Traceback", "WORKER TIMEOUT", "SIGKILL"):
        assert bad not in log
