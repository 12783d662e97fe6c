"""What a Flask user writes today: flask-sock, a set, a lock, a loop."""

from gevent import monkey

monkey.patch_all()
import contextlib
import json
import threading

from flask import Flask, request
from flask_sock import Sock

app = Flask(__name__)
sock = Sock(app)
clients = set()
lock = threading.Lock()


@sock.route("/ws/chat")
def chat(ws):
    user = {"username": request.args.get("u", "x")}
    with lock:
        clients.add(ws)
    try:
        while True:
            m = json.loads(ws.receive())
            if m["type"] == 2:
                with lock:
                    targets = list(clients)
                for c in targets:
                    with contextlib.suppress(Exception):
                        c.send(json.dumps({"type": 2, "user": user, "data": m["data"]}))
    finally:
        with lock:
            clients.discard(ws)
