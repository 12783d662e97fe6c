"""Two servers of one worker each on one database: a test chooses on which of them a client is."""

import re
from contextlib import contextmanager
from uuid import uuid4

from tests.integration.people import hear_of
from tests.integration.socketio_server import SocketIOServer
from tests.tokens import token as make_token
from tests.waiting import until

#: A Valkey that is not there: nobody listens at this port.
NO_VALKEY = "redis://127.0.0.1:1/0"
#: What crosses with these comes by Valkey: the comparison with the store and the look into the control table are too
#: far apart to bring it.
BY_VALKEY_ALONE = {"CHAT_COMPARE_INTERVAL": 30, "CHAT_CONTROL_INTERVAL": 10}
#: Seconds that what Valkey carries may take, on a busy machine.
SOON = 2.0


@contextmanager
def two_servers(database, redis_url, **env):
    """The two, which have met where there is a Valkey."""
    common = {
        "CHAT_DATABASE_URL": database,
        "CHAT_REDIS_URL": redis_url,
        "CHAT_REDIS_PREFIX": f"pair-{uuid4().hex}",
        "CHAT_METRICS": 1,
        **env,
    }
    with SocketIOServer(env=common) as one, SocketIOServer(env=common) as other:
        if redis_url != NO_VALKEY:
            until(lambda: metric(one, "chat_workers") == metric(other, "chat_workers") == 2)
        yield one, other


def metric(server, name):
    """What /metrics says."""
    _, _, body = server.get("/metrics")
    (line,) = re.findall(rf"^{name} (.*)$", body, re.MULTILINE)
    return float(line)


@contextmanager
def entering_either(sites):
    """come(0, "ann") is a socket on the first server, extended and in the lobby; all are closed at the end."""
    opened = []

    def come(number, name, token=None, query="&roster=diff"):
        client = sites[number].socket(token=token or make_token(name), query=query)
        opened.append(client)
        hear_of(client, name)
        return client

    yield come
    for client in opened:
        client.sock.close()
