"""Two sites, each with its chat, in one process under one server: north at /north, south at /south."""

import os
from pathlib import Path

from flask import Flask, jsonify, request
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from chat import Chat, Identity, signals
from chat.wire.frames import text_frame

#: A message type that only north handles.
COMPASS = 100

chat = Chat()


@chat.identity_loader
def visitor():
    """The user named in the request: these sites have no log-in."""
    name = request.headers.get("X-Visitor")
    return Identity(f"id-{name}", name) if name else None


def make_site(name, url_prefix):
    app = Flask(name, root_path=Path(__file__).parent)
    app.config["SECRET_KEY"] = f"the {name}'s own secret, which is long enough"
    app.config["CHAT_DATABASE_URL"] = f"{os.environ['CHAT_DATABASE_URL']}.{name}"
    chat.init_app(app, url_prefix=url_prefix)
    heard = app.extensions["heard"] = []

    def note(sender, identity, text, **facts):
        heard.append([sender.name, identity.username, text])

    app.extensions["note"] = note  # blinker holds receivers weakly
    signals.message_sent.connect(note, sender=app)

    @app.get("/state")
    def state():
        return jsonify(heard=heard, here=[identity.username for identity in chat.roster()])

    @app.post("/announce/<text>")
    def announce(text):
        chat.send("lobby", text)
        return "said"

    @app.post("/kick/<username>")
    def kick(username):
        chat.kick(username)
        return "gone"

    return app


def point_north(dispatcher, client, envelope):
    client.enqueue(text_frame(b'{"type":100}'))


def create_app():
    front = Flask("front")
    front.add_url_rule("/healthz", view_func=lambda: "ok")
    north, south = make_site("north", "/talk"), make_site("south", None)
    north.extensions["chat"].handlers[COMPASS] = point_north
    front.wsgi_app = DispatcherMiddleware(front.wsgi_app, {"/north": north, "/south": south})
    return front
