"""An echo on the chat's own socket path, for the conformance runner: parked sockets, reactor, client and frames.

Only what a message means is left out: no token, no rooms, no JSON. It says back whatever it was sent.
"""

import sys
import traceback

from flask import Flask

from chat import config, frames
from chat.client import Client
from chat.hub import Hub
from chat.sockets import ParkingSock
from chat.sweeper import Sweeper

#: The longest message of the cases is 16 MiB, and it has to fit into the outbox too.
SETTINGS = {"CHAT_MAX_MESSAGE_BYTES": 1 << 25, "CHAT_OUTBOX_BYTES": 1 << 26}


def create_app():
    app = Flask(__name__)
    hub = Hub(config.load(SETTINGS), log, echo, limit=1000)
    Sweeper(hub)

    @app.get("/healthz")
    def healthz():
        return "ok"

    @ParkingSock(app).route("/")
    def parked(fd, early):
        hub.reactor.call(begin, hub, fd, early)

    return app


def begin(hub, fd, early):
    client = Client(fd, hub, hub.settings.max_message_bytes)
    hub.reactor.add(client)
    if early:
        client.feed(early)


def echo(client, payload, binary=False):
    client.enqueue(frames.frame(frames.BINARY if binary else frames.TEXT, payload))


def log(message, error):
    print(message, *traceback.format_exception(error), file=sys.stderr)
