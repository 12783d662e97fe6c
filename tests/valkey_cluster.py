"""A Valkey cluster of three nodes, each with a third of the slots; slots can be moved while it is in use."""

from contextlib import ExitStack, contextmanager

import redis

from tests.valkeys import Valkey, kept_port
from tests.waiting import until

SLOTS = 16_384


class Node(Valkey):
    """One of its nodes. Its bus has a port from PORTS: the default, 10,000 higher, may be taken by any connection."""

    def __init__(self):
        super().__init__()
        self.bus_port = kept_port()

    def _arguments(self):
        bus = ["--cluster-port", str(self.bus_port)]
        return [*super()._arguments(), "--cluster-enabled", "yes", *bus, "--cluster-node-timeout", "2000"]

    def ask(self, *words):
        """The answer to a command."""
        client = redis.Redis(port=self.port, decode_responses=True)
        try:
            return client.execute_command(*words)
        finally:
            client.close()


class ClusterPeers:
    """`url` is that of the first node, which knows the other nodes."""

    def __init__(self, nodes):
        self.nodes, self.url = nodes, nodes[0].url

    def join(self):
        """Connect the nodes and share the slots between them."""
        bounds = [SLOTS * number // len(self.nodes) for number in range(len(self.nodes) + 1)]
        for node, first, end in zip(self.nodes, bounds, bounds[1:], strict=False):
            node.ask("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
            node.ask("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port, self.nodes[0].bus_port)
        self.wait_ok()

    def wait_ok(self):
        for node in self.nodes:
            until(lambda node=node: self._is_ok(node))

    def _is_ok(self, node):
        info = node.ask("CLUSTER", "INFO")
        info = info if isinstance(info, dict) else dict(line.split(":") for line in info.split())
        return info["cluster_state"] == "ok" and int(info["cluster_known_nodes"]) == len(self.nodes)

    def move(self, slot, node):
        """Move a slot to another node."""
        id = node.ask("CLUSTER", "MYID")
        for one in [node, *(other for other in self.nodes if other is not node)]:
            one.ask("CLUSTER", "SETSLOT", slot, "NODE", id)


@contextmanager
def running_cluster():
    """A new cluster."""
    with ExitStack() as stack:
        nodes = []
        for _ in range(3):
            node = Node()
            stack.callback(node.close)
            nodes.append(node.start())
        cluster = ClusterPeers(nodes)
        cluster.join()
        yield cluster
