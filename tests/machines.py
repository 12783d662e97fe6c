"""Two machines that serve one chat: a gunicorn of two workers each, one database, and a link each to one Valkey."""

import json
import os
import re
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests import leftovers
from tests.databases import make_database, running_postgresql
from tests.faulty_link import FaultyLink
from tests.servers import Server
from tests.valkeys import running_valkey
from tests.waiting import until

WORKERS = 2
#: Seconds after which a silent worker counts as dead.
LEASE = 4.0
#: Seconds that a user stays in the roster after the last socket closed.
GRACE = 0.3
#: Sockets that one user may have: one on each worker.
MAX_SOCKETS = 4
#: Requests after which each of a machine's workers has almost certainly answered one.
REQUESTS = 6
ENV = {
    "WEB_CONCURRENCY": WORKERS,
    "CHAT_WORKER_LEASE": LEASE,
    "CHAT_ROSTER_GRACE": GRACE,
    "CHAT_EPHEMERAL_ROOMS": "typing",
    "CHAT_INVITATIONS": "direct",
    "CHAT_MAX_CONNECTIONS_PER_USER": MAX_SOCKETS,
    "CHAT_MAX_CONNECTIONS_PER_IP": 10_000,
    "CHAT_RATE_LIMIT": 50,
    "CHAT_RATE_BURST": 100,
    "CHAT_METRICS": 1,
}


class Machine:
    """One of them: `server` is its gunicorn, `link` leads to Valkey."""

    def __init__(self, server, link):
        self.server, self.link = server, link

    @property
    def workers(self):
        """The pids of its workers."""
        return leftovers.children(self.server.pid)

    def broker_is(self, state):
        """Whether /healthz of each of its workers reports this state of the broker; its status is 200 in any case."""
        return all(self._health()["broker"] == state for _ in range(REQUESTS))

    def _health(self):
        status, _, body = self.server.get("/healthz")
        assert status == 200
        return json.loads(body)

    def metric(self, name):
        """The value of a metric, as one of its workers has it."""
        _, _, body = self.server.get("/metrics")
        (line,) = re.findall(rf"^{name} (.*)$", body, re.MULTILINE)
        return float(line)

    def workers_by_ends(self):
        """{`ends(client)`: pid of the worker that holds the other end of its socket}."""
        port = self.server.port
        inodes = connections(port)
        return {
            (inodes[inode], port): pid for pid in self.workers for inode in sockets_of(pid) & inodes.keys()
        }

    def worker_of(self, client):
        """The pid of the worker that holds the other end of a client's socket."""
        return self.workers_by_ends().get(ends(client))

    @contextmanager
    def on_each_worker(self, token, accept=None):
        """{pid: a socket with this token} for each worker.

        `client.greeting` is the first message that it received: a welcome, or what `accept(greeting)` accepts; after
        any other message it connects again.
        """
        with ExitStack() as stack:
            found = {}

            def all_found():
                self._try_one(token, accept or is_welcome, found, stack)
                return found.keys() >= set(self.workers)

            until(all_found)
            yield found

    def _try_one(self, token, accept, found, stack):
        client = self.server.socket(token=token, query="&roster=diff")
        worker, client.greeting = self.worker_of(client), json.loads(client.recv())
        if worker is not None and worker not in found and accept(client.greeting):
            found[worker] = stack.enter_context(client)
        else:
            client.sock.close()


class Deployment:
    """`machines`, `valkey`, `postgresql`, and `url`, that of the database."""

    def __init__(self, machines, valkey, postgresql, url):
        self.machines, self.valkey, self.postgresql, self.url = machines, valkey, postgresql, url

    @property
    def workers(self):
        return [pid for machine in self.machines for pid in machine.workers]

    def workers_by_ends(self):
        """{`ends(client)`: pid of the worker that holds the other end of its socket}, over all machines."""
        return {ends: pid for machine in self.machines for ends, pid in machine.workers_by_ends().items()}

    def is_healthy(self):
        """Whether all workers run and reach the broker."""
        return all(len(machine.workers) == WORKERS and machine.broker_is("up") for machine in self.machines)

    @contextmanager
    def on_each_worker(self, token, accept=None):
        """{pid: a socket with this token} for each worker of all machines, as Machine.on_each_worker."""
        with ExitStack() as stack:
            each = [stack.enter_context(one.on_each_worker(token, accept)) for one in self.machines]
            yield {pid: client for found in each for pid, client in found.items()}


def is_welcome(greeting):
    return greeting["type"] == 2


@contextmanager
def two_machines(app=None, envs=({}, {})):
    """A Deployment; `envs` are the settings of each machine beside ENV."""
    with ExitStack() as stack:
        valkey = stack.enter_context(running_valkey())
        postgresql = stack.enter_context(running_postgresql())
        url = make_database(postgresql, "deployment")
        machines = []
        for env in envs:
            link = stack.enter_context(FaultyLink(valkey.port))
            own = {"CHAT_DATABASE_URL": url, "CHAT_REDIS_URL": f"redis://127.0.0.1:{link.port}/0"}
            server = stack.enter_context(Server("gunicorn-gevent", {**ENV, **own, **env}, app))
            machines.append(Machine(server, link))
        deployment = Deployment(machines, valkey, postgresql, url)
        until(deployment.is_healthy)
        yield deployment


def ends(client):
    """The ports of both ends of a client's socket; a client of another server may have the same local port."""
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
