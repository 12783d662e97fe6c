"""A site that uses all of the chat's server-side API: what test_public_api.py serves and docs/ quotes."""

import threading
import time

from flask import Flask, current_app, jsonify, request

from chat import Chat, UnknownUser, signals
from tests.integration.api_site_die import DIE, throw_die

#: What the receivers below were called with, in order.
heard = []

chat = Chat()


def create_app():
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "a site with an API, and a key that is long enough"
    chat.init_app(app)
    add_views(app)
    app.extensions["chat"].handlers[DIE] = throw_die
    signals.client_connected.connect(note_connect, sender=app)
    signals.client_disconnected.connect(note_disconnect, sender=app)
    signals.message_sent.connect(note_message, sender=app)
    return app


# -- views and threads


def add_views(app):
    @app.post("/announce")
    def announce():
        chat.send("lobby", request.form["text"])
        return "said"

    @app.post("/remind/<username>")
    def remind(username):
        chat.direct(username, request.form["text"])
        return "told"

    @app.post("/announce/thread")
    def announce_from_thread():
        state = current_app.extensions["chat"]
        thread = threading.Thread(target=state.send, args=("lobby", request.form["text"]))
        thread.start()
        thread.join()
        return "said"

    @app.post("/announce/pool")
    def announce_from_pool():
        chat.run_blocking(current_app.extensions["chat"].send, "lobby", request.form["text"])
        return "said"

    @app.get("/here")
    def here():
        return jsonify([identity.username for identity in chat.roster("lobby")])

    @app.post("/throw-out/<username>")
    def throw_out(username):
        try:
            chat.kick(username)
        except UnknownUser:
            return "nobody of that name", 404
        return "gone"

    @app.get("/heard")
    def what_was_heard():
        return jsonify(heard)


# -- signals: receivers are functions of a module, because blinker holds them weakly


def note_connect(app, identity):
    """A client has connected."""
    heard.append(["connect", identity.username, app is current_app._get_current_object()])


def note_disconnect(app, identity, code):
    """A client has disconnected; `code` is the close code."""
    heard.append(["disconnect", identity.username, code])


def note_message(app, identity, room, to, text, id, seq, ts):
    """A user's message has been sent; `to` is the receiver of a direct message."""
    if text == "slow":
        time.sleep(1.0)
    if text == "broken":
        raise ValueError("a receiver may fail")
    heard.append(["message", identity.username, room, to, text, id, seq, ts])
