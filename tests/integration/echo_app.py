"""An echo on the chat's own socket path, for the conformance runner: parked sockets, reactor, client and frames.

Only what a message means is left out: no token, no rooms, no JSON. It says back whatever it was sent.
"""

import sys
import traceback

from flask import Flask

from chat import config
from chat.rooms.client import Client
from chat.rooms.hub import Hub
from chat.rooms.sweeper import Heartbeat, Sweeper
from chat.web.sockets import ParkingSock
from chat.wire import frames
from chat.wire.codec import NATIVE

#: The longest message of the cases is 16 MiB; it must also fit into the outbox.
SETTINGS = {"CHAT_MAX_MESSAGE_BYTES": 1 << 25, "CHAT_OUTBOX_BYTES": 1 << 26}


def create_app():
    app = Flask(__name__)
    settings = config.load(SETTINGS)
    hub = Hub(settings, log, limit=1000)
    wire = Echo(settings)
    Sweeper(hub)

    @app.get("/healthz")
    def healthz():
        return "ok"

    @ParkingSock(app).route("/")
    def parked(taken):
        hub.reactor.call(begin, hub, wire, taken)

    return app


def begin(hub, wire, taken):
    client = Client(taken.fd, hub, wire)
    hub.reactor.add(client)
    client.enqueue(taken.answer)
    if taken.early:
        client.feed(taken.early)


class Echo:
    codec = NATIVE
    largest = 0

    def __init__(self, settings):
        self.check_heartbeat = Heartbeat(settings).check

    def on_close(self, client):
        pass

    def on_text(self, client, payload):
        client.enqueue(frames.text_frame(payload))

    def on_binary(self, client, payload):
        client.enqueue(frames.frame(frames.BINARY, payload))

    def on_control(self, client):
        return True


def log(message, error):
    print(message, *traceback.format_exception(error), file=sys.stderr)
