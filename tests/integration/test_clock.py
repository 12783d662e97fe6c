"""The clock of one machine, or of all, is put forward or back by an hour while everybody talks."""

import pytest

from tests.databases import stored
from tests.integration.people import make_room
from tests.machines import LEASE, two_machines
from tests.steady_crowd import SteadyClient, SteadyCrowd
from tests.tokens import token

HOUR = 3_600
ROOMS = ("lobby", "den")
CLIENTS, TALKERS = 40, 8
#: Seconds in which a token that is no longer good ends its sockets, with the rest of a busy machine.
IN_TIME = 4.0


class Clock:
    """A machine's; right until it jumps."""

    def __init__(self, path):
        self._path = path
        self.jump(0)

    def jump(self, seconds):
        """Be wrong by so many seconds from now on."""
        new = self._path.with_suffix(".new")
        new.write_text(str(seconds))
        new.rename(self._path)

    @property
    def env(self):
        return {"CLOCK_FILE": self._path}


class Patient(SteadyClient):
    """Has a token that is good for the whole day, and was yesterday."""

    def token(self):
        return token(self.name, ttl=24 * HOUR)


@pytest.fixture(scope="module")
def clocks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clocks")
    return [Clock(folder / name) for name in ("near", "far")]


@pytest.fixture(scope="module")
def house(clocks):
    with two_machines("tests.jumping_clock:app", [clock.env for clock in clocks]) as house:
        make_room(house.machines[0].server, "den")
        yield house


@pytest.fixture(params=[1, 2], ids=["one", "all"])
def wrong(request, clocks):
    """The clocks that jump; they are right again after the test."""
    yield clocks[-request.param :]
    for clock in clocks:
        clock.jump(0)


@pytest.mark.parametrize("seconds", [HOUR, -HOUR], ids=["forward", "back"])
def test_a_clock_that_jumps_costs_nobody_anything(house, wrong, seconds):
    clients = list(people(house, f"{'back' if seconds < 0 else 'on'}{len(wrong)}x"))
    with SteadyCrowd(clients, clients[:TALKERS]) as crowd:
        crowd.until_synced()
        crowd.until_all_see(crowd.names)
        for client in clients:
            client.left.clear()
        crowd.begin_to_talk()
        crowd.go_on(1)
        for clock in wrong:
            clock.jump(seconds)
        crowd.go_on(LEASE)
        crowd.until_as_stored(lambda: stored(house.url))
        crowd.until_all_see(crowd.names)
        assert {client.connections for client in clients} == {1}
        assert not any(client.left & crowd.names for client in clients)


def people(house, prefix):
    for number in range(CLIENTS):
        yield Patient(house.machines[number % 2].server, f"{prefix}{number}", ROOMS, f"{prefix}{number ^ 1}")


def test_a_token_ends_by_the_clock_of_its_machine(house, clocks):
    near, far = house.machines
    with near.server.socket(token=token("ann")) as stays, far.server.socket(token=token("bob")) as ends:
        clocks[1].jump(HOUR)
        error = ends.recv_json(type=0, timeout=IN_TIME)
        assert error["code"] == "token_expired"
        assert ends.wait_closed()[0] == 4401
        with far.server.socket(token=token("bob")) as again:
            assert again.recv_json(type=0)["code"] == "token_expired"
        stays.send_json({"type": 2, "data": "still here"})
        stays.recv_json(type=2, data="still here")
        clocks[1].jump(0)
        with far.server.socket(token=token("bob")) as back:
            assert back.recv_json(type=2)["user"] is None
