"""The clock of one machine, or of all, is set forward or back by an hour while all clients send."""

import time

import pytest

from tests.databases import stored
from tests.integration.named_clients import make_room
from tests.machines import LEASE, two_machines
from tests.steady_load import SteadyClient, SteadyLoad
from tests.tokens import token

HOUR = 3_600
ROOMS = ("lobby", "den")
CLIENTS, SENDERS = 40, 8
#: Seconds within which an expired token ends its sockets, on a busy machine.
IN_TIME = 10.0
#: Seconds for which a token is valid.
TTL = 6
PASSWORD = "correct horse battery"


class Clock:
    """The clock of a machine; right until it jumps."""

    def __init__(self, path):
        self._path = path
        self.jump(0)

    def jump(self, seconds):
        """Set it wrong by so many seconds."""
        new = self._path.with_suffix(".new")
        new.write_text(str(seconds))
        new.rename(self._path)

    @property
    def env(self):
        return {"CLOCK_FILE": self._path}


class LongTokenClient(SteadyClient):
    """Its token stays valid whichever way the clock jumps."""

    def token(self):
        return token(self.name, ttl=24 * HOUR)


@pytest.fixture(scope="module")
def clocks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clocks")
    return [Clock(folder / name) for name in ("near", "far")]


@pytest.fixture(scope="module")
def deployment(clocks):
    with two_machines("tests.jumping_clock:app", [clock.env for clock in clocks]) as deployment:
        make_room(deployment.machines[0].server, "den")
        yield deployment


@pytest.fixture(params=[1, 2], ids=["one", "all"])
def wrong(request, clocks):
    """The clocks that jump; they are set right after the test."""
    yield clocks[-request.param :]
    for clock in clocks:
        clock.jump(0)


@pytest.mark.parametrize("seconds", [HOUR, -HOUR], ids=["forward", "back"])
def test_a_clock_that_jumps_disturbs_no_client(deployment, wrong, seconds):
    clients = list(make_clients(deployment, f"{'back' if seconds < 0 else 'on'}{len(wrong)}x"))
    with SteadyLoad(clients, clients[:SENDERS]) as load:
        load.until_synced()
        load.until_all_see(load.names)
        for client in clients:
            client.left.clear()
        load.start_sending()
        load.go_on(1)
        for clock in wrong:
            clock.jump(seconds)
        load.go_on(LEASE)
        load.until_as_stored(lambda: stored(deployment.url))
        load.until_all_see(load.names)
        assert {client.connections for client in clients} == {1}
        assert not any(client.left & load.names for client in clients)


def make_clients(deployment, prefix):
    for number in range(CLIENTS):
        yield LongTokenClient(
            deployment.machines[number % 2].server, f"{prefix}{number}", ROOMS, f"{prefix}{number ^ 1}"
        )


def test_a_token_ends_by_the_clock_of_its_machine(deployment, clocks):
    """That clock checks it; how long it lasts from then on is no matter of clocks."""
    _, far = deployment.machines
    with far.server.socket(token=token("bob")) as stays:
        stays.recv_json(type=2)
        clocks[1].jump(HOUR)
        with far.server.socket(token=token("bob")) as again:
            assert again.recv_json(type=0)["code"] == "token_expired"
        stays.send_json({"type": 2, "data": "still here"})
        stays.recv_json(type=2, data="still here")
        clocks[1].jump(0)
        with far.server.socket(token=token("bob")) as back:
            assert back.recv_json(type=2)["user"] is None


@pytest.mark.parametrize("seconds", [HOUR, -HOUR], ids=["forward", "back"])
def test_a_socket_ends_with_its_token_though_the_clock_has_jumped(deployment, clocks, seconds):
    _, far = deployment.machines
    begun = time.monotonic()
    with far.server.socket(token=token("bob", ttl=TTL)) as ends:
        ends.recv_json(type=2)
        clocks[1].jump(seconds)
        try:
            assert ends.recv_json(type=0, timeout=TTL + IN_TIME)["code"] == "token_expired"
        finally:
            clocks[1].jump(0)
        assert time.monotonic() - begun > TTL - 1
        assert ends.wait_closed()[0] == 4401


def test_a_kick_ends_a_socket_whose_token_was_issued_before_the_clock_was_set_back(deployment, clocks):
    _, far = deployment.machines
    far.server.cli("create-user", "ada", stdin=f"{PASSWORD}\n{PASSWORD}\n")
    clocks[1].jump(HOUR)
    with far.server.socket(token=issued_to("ada", far)) as ends:
        ends.recv_json(type=2)
        clocks[1].jump(0)
        far.server.cli("kick", "ada")
        assert ends.recv_json(type=0, timeout=IN_TIME)["code"] == "kicked"
    with far.server.socket(token=issued_to("ada", far)) as again:
        assert again.recv_json(type=2)["user"] is None


def issued_to(name, machine):
    _, answer = machine.server.post_json("/api/login", {"username": name, "password": PASSWORD})
    return answer["token"]
