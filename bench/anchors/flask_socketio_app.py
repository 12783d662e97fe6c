"""Flask-SocketIO under gevent, as its documentation shows."""

from gevent import monkey

monkey.patch_all()
from flask import Flask
from flask_socketio import SocketIO, emit

app = Flask(__name__)
sio = SocketIO(app, async_mode="gevent", cors_allowed_origins="*")


@sio.on("group_chat")
def group_chat(m):
    emit("group_chat", {"type": 2, "user": {"username": "x"}, "data": m["data"]}, broadcast=True)
