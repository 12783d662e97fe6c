"""A site with Socket.IO events of its own: the server of the Socket.IO tests.

The namespace / is the chat's and has an event of the site's too; /news is the site's own; /quiet has a single event.
"""

import os
import threading
import time
from pathlib import Path

from flask import Flask, current_app, jsonify, request, send_file

from chat import Chat, ConnectRefused, Identity

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Socket.IO</title><link rel="icon" href="data:,">
<script src="/socket.io-client.js"></script></head><body></body></html>
"""


def create_app():
    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
    chat = Chat(app)
    journal = Journal()
    add_lifecycle(chat.io, journal)
    add_events(chat.io, journal)
    add_questions(chat.io, journal)
    add_work(chat.io, journal)
    add_views(app, chat, journal)
    add_rooms(app, chat)
    add_page(app)
    return app


class Journal:
    """What handlers received, in the order of their calls; and a gate that holds some of them."""

    def __init__(self):
        self.entries = []
        self.gate = threading.Event()

    def note(self, session, event, value=None):
        self.entries.append(
            {"id": session.id, "namespace": session.namespace, "event": event, "value": value}
        )


# -- connecting and disconnecting


def add_lifecycle(io, journal):
    @io.on_connect(namespace="/news")
    def connected(session, auth):
        auth = auth or {}
        journal.note(session, "connected", session.recovered)
        if auth.get("refuse") == "plainly":
            return False
        if auth.get("refuse"):
            raise ConnectRefused(auth["refuse"], {"try": "later"})
        if auth.get("break"):
            raise RuntimeError("on_connect failed")
        if not session.recovered:
            session.data["connected with"] = auth.get("with")
        if auth.get("room"):
            session.join(auth["room"])
            session.emit("welcome", auth["room"])
        return None

    @io.on_disconnect(namespace="/news")
    def disconnected(session, reason):
        journal.note(session, "disconnected", reason)


# -- events


def add_events(io, journal):
    @io.on("echo", namespace="/news")
    def echo(session, *args):
        return args

    @io.on("about", namespace="/news")
    def about(session):
        return {
            "id": session.id,
            "identity": session.identity and session.identity._asdict(),
            "data": session.data,
            "rooms": sorted(session.rooms),
            "recovered": session.recovered,
        }

    @io.on("remember", namespace="/news")
    def remember(session, key, value):
        session.data[key] = value

    @io.on("join", namespace="/news")
    def join(session, room):
        session.join(room)

    @io.on("leave", namespace="/news")
    def leave(session, room):
        session.leave(room)

    @io.on("tell others", namespace="/news")
    def emit_to_others(session, text):
        io.emit("bulletin", text, namespace="/news", skip=session)

    @io.on("whose site", namespace="/news")
    def whose_site(session):
        return current_app.name

    @io.on("go", namespace="/news")
    def go(session):
        session.disconnect()

    @io.on("reverse", namespace="/news")
    def reverse(session, data):
        """Answer bytes with bytes, and emit them to all too."""
        io.emit("reversed", {"data": data[::-1]}, namespace="/news")
        return data[::-1], {"of": len(data)}

    @io.on("wave", namespace="/")
    def wave(session, *args):
        return [session.identity.username, *args]

    @io.on("hello", namespace="/quiet")
    def hello(session, name):
        session.emit("hello", f"Hello, {name}")


# -- events that the server emits


def add_questions(io, journal):
    @io.on("tell me", namespace="/news")
    def tell(session, *args):
        session.emit("told", *args)

    @io.on("ask me", namespace="/news")
    def ask(session, *args):
        session.emit("question", *args, ack=lambda *answer: journal.note(session, "answer", list(answer)))

    @io.on("call me", namespace="/news")
    def call(session, *args):
        return {"answer": session.call("question", *args)}

    @io.on("call me in vain", namespace="/news")
    def call_in_vain(session):
        try:
            session.call("question", timeout=0.2)
        except TimeoutError:
            return "not answered"


# -- handlers that are slow, or fail


def add_work(io, journal):
    @io.on("note", namespace="/news")
    def note(session, value):
        journal.note(session, "note", value)

    @io.on("work", namespace="/news")
    def work(session, value, seconds):
        time.sleep(seconds)
        journal.note(session, "work", value)
        return value

    @io.on("hold", namespace="/news")
    def hold(session):
        """Wait until the test opens the gate."""
        journal.note(session, "hold")
        return journal.gate.wait(30)

    @io.on("fail", namespace="/news")
    def fail(session, how):
        raise {"error": RuntimeError, "exit": SystemExit}[how](f"a handler fails: {how}")


# -- views


def add_views(app, chat, journal):
    @app.post("/emit")
    def emit():
        said = request.get_json()
        chat.io.emit(said["event"], *said["args"], room=said["room"], namespace=said["namespace"])
        return jsonify("said")

    @app.post("/emit/thread")
    def emit_from_thread():
        said = request.get_json()
        thread = threading.Thread(
            target=chat.io.emit,
            args=(said["event"], *said["args"]),
            kwargs={"room": said["room"], "namespace": said["namespace"]},
        )
        thread.start()
        thread.join()
        return jsonify("said")

    @app.get("/journal")
    def read_journal():
        return jsonify(journal.entries)

    @app.post("/gate/<state>")
    def turn_gate(state):
        (journal.gate.set if state == "open" else journal.gate.clear)()
        return jsonify(state)

    @app.post("/users/<username>")
    def add_user(username):
        return jsonify(chat.token_for(chat.users.create(username).identity))

    @app.get("/users/<username>/token")
    def make_token(username):
        return chat.token_for(chat.users.by_name(username).identity)

    @app.post("/kick/<username>")
    def kick(username):
        chat.kick(username)
        return jsonify("gone")

    @app.post("/ban/<username>")
    def ban(username):
        chat.ban(username)
        return jsonify("gone")

    @app.post("/log-out/<username>")
    def log_out(username):
        chat.revoke(chat.users.by_name(username).id)
        return jsonify("gone")

    @app.post("/log-out/<username>/<sid>")
    def end_session(username, sid):
        chat.service.log_ins.end(chat.users.by_name(username).id, sid)
        return jsonify("gone")

    @app.post("/say")
    def say():
        said = request.get_json()
        if said.get("to"):
            chat.direct(said["to"], said["text"])
        else:
            chat.send(said["room"], said["text"])
        return jsonify("said")


def add_rooms(app, chat):
    @app.post("/rooms")
    def make_room():
        wanted = request.get_json()
        room = chat.create_room(wanted["title"], private=wanted["private"], ephemeral=wanted["ephemeral"])
        for name in wanted["members"]:
            chat.history.join(room.id, Identity(f"id-{name}", name))
        return jsonify(room.name)

    @app.post("/rooms/remove")
    def remove_member():
        wanted = request.get_json()
        room, user_id = chat.history.room(wanted["room"]), f"id-{wanted['name']}"
        chat.history.leave(room.id, user_id)
        chat.service.rooms.unsubscribe_user(user_id, room.name)
        chat.service.rooms.push_room_change(user_id, room.name, "left")
        return jsonify("gone")

    @app.get("/rooms/stored")
    def read_room():
        """[[seq, sender, text], …] of all messages that are stored in a room."""
        room = chat.history.room(request.args["room"])
        return jsonify([[m.seq, m.user and m.user.username, m.data] for m in chat.history.export(room.id)])


def add_page(app):
    bundle = os.environ.get("SOCKETIO_BUNDLE")

    @app.get("/page")
    def page():
        return PAGE

    @app.get("/socket.io-client.js")
    def client():
        return send_file(Path(bundle), mimetype="text/javascript")
