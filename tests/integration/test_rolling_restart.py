"""The workers are replaced while all clients send: no client misses a message or receives one twice."""

import os
import signal

import pytest

from tests.databases import stored
from tests.integration.named_clients import make_room
from tests.leftovers import children
from tests.machines import connections, sockets_of
from tests.servers import Server
from tests.steady_load import SteadyClient, SteadyLoad
from tests.waiting import until

#: More than one batch of the drain, on each of two workers.
CLIENTS, SENDERS = 240, 60
ROOMS = ("lobby", "den")
DRAIN_SECONDS = 2
ENV = {
    "CHAT_DRAIN_SECONDS": DRAIN_SECONDS,
    "CHAT_RATE_LIMIT": 0,
    "CHAT_MAX_CONNECTIONS_PER_IP": 10_000,
}
#: Seconds that a restart may take on a busy machine.
PATIENCE = 60.0


class RestartClient(SteadyClient):
    """A client that records the close codes of its connections, and whether it ever had to start afresh."""

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
    def has_a_gap(self):
        return any(view.begun != self.begun[room] for room, view in self.views.items())


@pytest.fixture(params=[(1, "sqlite"), (2, "postgresql")], ids=["one worker", "two workers"])
def site(request, fresh_database):
    """A server of so many workers; `database` is the URL of its database."""
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
def load(site):
    """All clients are connected, know each other, and send."""
    clients = [RestartClient(site, f"g{n}", ROOMS, f"g{n ^ 1}") for n in range(CLIENTS)]
    senders = clients[:SENDERS]
    with SteadyLoad(clients, senders) as load:
        load.until_synced()
        for client in senders:
            client.send(client.tell(client.peer, "hello"))
        load.until(lambda: all(client.direct for client in senders))
        for client in clients:
            client.note_begin()
        load.start_sending()
        yield load


def restart_all(site, load):
    """SIGHUP: gunicorn starts new workers and stops the old ones."""
    old = workers_of(site)
    site.signal(signal.SIGHUP)
    wait_for_new_workers(site, load, old)
    assert all(client.codes for client in load.clients)


def restart_one(site, load):
    """SIGTERM to the worker with the most clients: gunicorn starts another in its place."""
    here = connections(site.port).keys()
    one = max(workers_of(site), key=lambda pid: len(sockets_of(pid) & here))
    os.kill(one, signal.SIGTERM)
    wait_for_new_workers(site, load, {one})


def workers_of(site):
    return set(children(site.pid))


def wait_for_new_workers(site, load, old):
    """Keep sending until new workers have replaced `old` and every client is connected again."""
    load.until(lambda: not old & workers_of(site) and len(workers_of(site)) == site.workers, PATIENCE)
    load.until_synced()
    load.go_on(0.5)


def test_no_message_is_lost_or_doubled_while_the_workers_are_replaced(site, load):
    restart_all(site, load)
    said = sum(len(client.said) for client in load.clients)
    restart_one(site, load)
    restart_all(site, load)
    assert sum(len(client.said) for client in load.clients) > said
    assert {code for client in load.clients for code in client.codes} == {1012}
    assert not [client.errors for client in load.clients if client.errors]
    load.until_as_stored(lambda: stored(site.database))
    assert not any(client.has_a_gap for client in load.clients)
    log = site.log()
    for bad in ("Traceback", "WORKER TIMEOUT", "SIGKILL"):
        assert bad not in log
