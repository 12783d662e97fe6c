"""Two machines that serve one chat: a gunicorn of two workers each, one database, and a cable each to one Valkey."""

import json
import os
import re
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests import leftovers
from tests.cut import Cut
from tests.databases import make_database, running_postgresql
from tests.servers import Server
from tests.valkeys import running_valkey
from tests.waiting import until

WORKERS = 2
#: Seconds after which a worker that is silent is dead.
LEASE = 4.0
#: Seconds that a user stays in the roster after the last socket went.
GRACE = 0.3
#: Sockets that one user may have: one on each worker.
MOST = 4
#: Requests after which a machine's workers have all been asked, as good as surely.
ASKED = 6
ENV = {
    "WEB_CONCURRENCY": WORKERS,
    "CHAT_WORKER_LEASE": LEASE,
    "CHAT_ROSTER_GRACE": GRACE,
    "CHAT_EPHEMERAL_ROOMS": "typing",
    "CHAT_MAX_CONNECTIONS_PER_USER": MOST,
    "CHAT_MAX_CONNECTIONS_PER_IP": 10_000,
    "CHAT_RATE_LIMIT": 50,
    "CHAT_RATE_BURST": 100,
    "CHAT_METRICS": 1,
}


class Machine:
    """One of them: `server` is its gunicorn, `cable` leads to Valkey."""

    def __init__(self, server, cable):
        self.server, self.cable = server, cable

    @property
    def workers(self):
        """The pids of its workers."""
        return leftovers.children(self.server.pid)

    def broker_is(self, state):
        """Whether /healthz says so, whichever of its workers answers; it is 200 in any case."""
        return all(self._health()["broker"] == state for _ in range(ASKED))

    def _health(self):
        status, _, body = self.server.get("/healthz")
        assert status == 200
        return json.loads(body)

    def metric(self, name):
        """What /metrics of one of its workers says."""
        _, _, body = self.server.get("/metrics")
        (line,) = re.findall(rf"^{name} (.*)$", body, re.MULTILINE)
        return float(line)

    def places(self):
        """{what `ends` returns of a client: pid of the worker that has the other end}."""
        port = self.server.port
        inodes = connections(port)
        return {
            (inodes[inode], port): pid for pid in self.workers for inode in sockets_of(pid) & inodes.keys()
        }

    def place(self, client):
        """The pid of the worker that has the other end of a socket."""
        return self.places().get(ends(client))


class House:
    """All of it: `machines`, `valkey`, `postgresql`, and `url`, the database's."""

    def __init__(self, machines, valkey, postgresql, url):
        self.machines, self.valkey, self.postgresql, self.url = machines, valkey, postgresql, url

    @property
    def workers(self):
        return [pid for machine in self.machines for pid in machine.workers]

    def places(self):
        """{what `ends` returns of a client: pid of the worker that has the other end}, of all machines."""
        return {place: pid for machine in self.machines for place, pid in machine.places().items()}

    def is_well(self):
        """Whether all workers are there, and have their broker."""
        return all(len(machine.workers) == WORKERS and machine.broker_is("up") for machine in self.machines)

    @contextmanager
    def on_each_worker(self, token, accept=None):
        """{pid: a socket with this token} for every worker that there is.

        `client.greeting` is the first that it was told: a welcome, or what `accept(greeting)` likes; where a worker
        says something else, another attempt is made.
        """
        accept = accept or is_welcome
        with ExitStack() as stack:
            found = {}
            for machine in self.machines:

                def all_found(machine=machine):
                    self._try_one(machine, token, accept, found, stack)
                    return found.keys() >= set(machine.workers)

                until(all_found)
            yield found

    def _try_one(self, machine, token, accept, found, stack):
        client = machine.server.socket(token=token, query="&roster=diff")
        place, client.greeting = machine.place(client), json.loads(client.recv())
        if place is not None and place not in found and accept(client.greeting):
            found[place] = stack.enter_context(client)
        else:
            client.sock.close()


def is_welcome(greeting):
    return greeting["type"] == 2


@contextmanager
def two_machines(app=None, envs=({}, {})):
    """A House; `envs` is what each machine has beside ENV."""
    with ExitStack() as stack:
        valkey = stack.enter_context(running_valkey())
        postgresql = stack.enter_context(running_postgresql())
        url = make_database(postgresql, "house")
        machines = []
        for env in envs:
            cable = stack.enter_context(Cut(valkey.port))
            own = {"CHAT_DATABASE_URL": url, "CHAT_REDIS_URL": f"redis://127.0.0.1:{cable.port}/0"}
            server = stack.enter_context(Server("gunicorn-gevent", {**ENV, **own, **env}, app))
            machines.append(Machine(server, cable))
        house = House(machines, valkey, postgresql, url)
        until(house.is_well)
        yield house


def ends(client):
    """The ports of both ends of a client's socket: its own alone may be another client's too, at another server."""
    return client.sock.getsockname()[1], client.sock.getpeername()[1]


def connections(port):
    """{inode: the other end's port} of this machine's TCP sockets at a port."""
    found = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, *_, inode = line.split()[:10]
        if int(local.split(":")[1], 16) == port:
            found[int(inode)] = int(remote.split(":")[1], 16)
    return found


def sockets_of(pid):
    """The inodes of a process's sockets; none when it has ended meanwhile."""
    names = map(read_link, Path(f"/proc/{pid}/fd").glob("*"))
    return {int(name[8:-1]) for name in names if name.startswith("socket:[")}


def read_link(path):
    try:
        return os.readlink(path)
    except OSError:
        return ""
