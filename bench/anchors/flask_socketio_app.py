"""Flask-SocketIO under gevent, as its documentation shows."""

from gevent import monkey

monkey.patch_all()
from flask import Flask, request
from flask_socketio import SocketIO, emit
from message import message

app = Flask(__name__)
sio = SocketIO(app, async_mode="gevent", cors_allowed_origins="*")


@sio.on("group_chat")
def group_chat(m):
    emit("group_chat", message(request.args.get("u", "x"), m["data"]), broadcast=True)
