"""Two servers of one worker each on one database; a test chooses the server of each client."""

import re
from contextlib import contextmanager
from uuid import uuid4

from tests.integration.named_clients import wait_for_users
from tests.integration.socketio_server import SocketIOServer
from tests.tokens import token as make_token
from tests.waiting import until

#: The URL of a Valkey that does not run.
NO_VALKEY = "redis://127.0.0.1:1/0"
#: With these settings a message can cross in time by Valkey alone: the intervals of the comparison with the store and
#: of the control table are too long.
BY_VALKEY_ALONE = {"CHAT_COMPARE_INTERVAL": 30, "CHAT_CONTROL_INTERVAL": 10}
#: Seconds that a message may take by Valkey, on a busy machine.
SOON = 2.0


@contextmanager
def two_servers(database, redis_url, **env):
    """The two servers; with a Valkey they have found each other."""
    common = {
        "CHAT_DATABASE_URL": database,
        "CHAT_REDIS_URL": redis_url,
        "CHAT_REDIS_PREFIX": f"pair-{uuid4().hex}",
        "CHAT_METRICS": 1,
        "CHAT_INVITATIONS": "direct",
        **env,
    }
    with SocketIOServer(env=common) as one, SocketIOServer(env=common) as other:
        if redis_url != NO_VALKEY:
            until(lambda: metric(one, "chat_workers") == metric(other, "chat_workers") == 2)
        yield one, other


def metric(server, name):
    """The value of a metric."""
    _, _, body = server.get("/metrics")
    (line,) = re.findall(rf"^{name} (.*)$", body, re.MULTILINE)
    return float(line)


@contextmanager
def entering_either(sites):
    """enter_at(0, "ann") is a socket on the first server, extended and in the lobby; all are closed at the end."""
    opened = []

    def enter_at(number, name, token=None, query="&roster=diff"):
        client = sites[number].socket(token=token or make_token(name), query=query)
        opened.append(client)
        wait_for_users(client, name)
        return client

    yield enter_at
    for client in opened:
        client.sock.close()
