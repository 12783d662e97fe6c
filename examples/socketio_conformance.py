"""Socket.IO and Engine.IO echo servers with the short timeouts that the public protocol test suites expect.

    .venv/bin/gunicorn -c gunicorn.conf.py --bind 127.0.0.1:3000 examples.socketio_conformance:app

/socket.io/ has the namespaces / and /custom, without the chat; /engine.io/ is a bare echo. An environment variable of
the same name overrides a setting below.
"""

from gevent import monkey

monkey.patch_all()

import os
import secrets
from pathlib import Path

from flask import Flask

from chat import Chat
from chat.web.socketio_routes import add_engine_echo

SETTINGS = {
    "CHAT_IO_CHAT_NAMESPACE": "",
    "CHAT_IO_RECOVERY_SECONDS": "0",
    "CHAT_IO_PING_INTERVAL": "0.3",
    "CHAT_IO_PING_TIMEOUT": "0.2",
    "CHAT_IO_CONNECT_TIMEOUT": "1",
    "CHAT_MAX_MESSAGE_BYTES": "1000000",
    "CHAT_ALLOWED_ORIGINS": "*",
}

app = Flask(__name__, instance_path=Path(__file__).resolve().parent / "instance")
app.config.from_mapping({key: os.environ.get(key, value) for key, value in SETTINGS.items()})
app.config["SECRET_KEY"] = secrets.token_hex(32)
chat = Chat(app)
add_engine_echo(app, "/engine.io")


def greet(session, auth):
    """Send a client the auth data of its CONNECT."""
    session.emit("auth", auth or {})


def message(session, *args):
    """Send it back."""
    session.emit("message-back", *args)


def message_with_ack(session, *args):
    """Send it back as the ack."""
    return args


def ask_back(session, *args):
    """Send the event to the client with an ack, and then its answer."""
    session.emit("question", *args, ack=lambda *answer: session.emit("answered", *answer))


for namespace in ("/", "/custom"):
    chat.io.on_connect(namespace=namespace)(greet)
    chat.io.on("message", namespace=namespace)(message)
    chat.io.on("message-with-ack", namespace=namespace)(message_with_ack)
    chat.io.on("ask-back", namespace=namespace)(ask_back)
