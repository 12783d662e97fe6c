"""A simple Flask chat on flask-sock: a set of clients, a lock, and a loop that sends."""

from gevent import monkey

monkey.patch_all()
import contextlib
import json
import threading

from flask import Flask, request
from flask_sock import Sock
from message import message

app = Flask(__name__)
sock = Sock(app)
clients = set()
lock = threading.Lock()


@sock.route("/ws/chat")
def chat(ws):
    username = request.args.get("u", "x")
    with lock:
        clients.add(ws)
    try:
        while True:
            m = json.loads(ws.receive())
            if m["type"] == 2:
                broadcast(message(username, m["data"]))
    finally:
        with lock:
            clients.discard(ws)


def broadcast(sent):
    with lock:
        targets = list(clients)
    for client in targets:
        with contextlib.suppress(Exception):
            client.send(json.dumps(sent))
