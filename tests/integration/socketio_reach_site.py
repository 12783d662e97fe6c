"""A site that uses all of `chat.io`: the server of test_socketio_reach.py and test_socketio_reach_workers.py.

A test calls a method of `chat.io` through POST /io/<method>, on the worker that it asks.
"""

import os
import re
from dataclasses import asdict

from flask import Flask, jsonify, request

from chat import NO_ACK, AckTimeout, Chat, ConnectRefused

NAMESPACE = "/reach"


class PlanExpired(ConnectRefused):
    """A refusal of the site's own type."""

    def __init__(self, plan):
        super().__init__(f"The plan {plan} has expired.", {"code": "plan_expired", "plan": plan})


def create_app():
    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
    chat = Chat(app)
    journal = []
    add_middlewares(chat.io, journal)
    add_handlers(chat.io, journal, app)
    add_dynamic(chat.io, journal)
    add_views(app, chat, journal)
    return app


def add_middlewares(io, journal):
    @io.use(namespace=NAMESPACE)
    def first(session):
        journal.append(["first", session.id])
        refusal = session.handshake.auth.get("refuse")
        if refusal == "plan":
            raise PlanExpired("gold")
        if refusal == "plainly":
            return False
        if refusal == "break":
            raise RuntimeError("a middleware failed")
        if refusal == "data":
            raise ConnectRefused("No.", object())
        return None

    @io.use(namespace=NAMESPACE)
    def second(session):
        journal.append(["second", session.id])
        session.data["checked"] = True

    @io.on_connect(namespace=NAMESPACE)
    def connected(session, auth):
        journal.append(["connected", session.id])
        for room in auth.get("rooms", ()):
            session.join(room)

    @io.on_disconnect(namespace=NAMESPACE)
    def disconnected(session, reason):
        journal.append(["disconnected", session.id, reason])


def add_handlers(io, journal, app):
    @io.on("handshake", namespace=NAMESPACE)
    def handshake(session):
        return session.handshake

    @io.on("log handshake", namespace=NAMESPACE)
    def log_handshake(session):
        app.logger.warning("a client: %s %r %s", session, session.handshake, f"{session.handshake}")
        return "logged"

    @io.on("nothing", namespace=NAMESPACE)
    def nothing(session):
        return None

    @io.on("no ack", namespace=NAMESPACE)
    def no_ack(session):
        return NO_ACK

    @io.on("set", namespace=NAMESPACE)
    def set_data(session, key, value):
        session.data[key] = value

    @io.on("set what JSON cannot hold", namespace=NAMESPACE)
    def set_object(session):
        session.data["object"] = object()

    @io.on("state", namespace=NAMESPACE)
    def state(session):
        return {"rooms": sorted(session.rooms), "data": session.data, "recovered": session.recovered}

    @io.on("burst", namespace=NAMESPACE)
    def burst(session, count):
        for number in range(count):
            session.emit("burst", number, "x" * 100_000, volatile=True)

    @io.on_any(namespace=NAMESPACE)
    def any_event(session, event, *args):
        if event == "stop":
            raise RuntimeError("stopped")
        if event.startswith("heard"):
            journal.append(["incoming", session.id, event, *args])

    @io.on("stop", namespace=NAMESPACE)
    def stop(session):
        journal.append(["not stopped", session.id])

    @io.on_any_outgoing(namespace=NAMESPACE)
    def any_outgoing(session, event, *args):
        if event.startswith("told"):
            journal.append(["outgoing", session.id, event, *map(repr, args)])


def add_dynamic(io, journal):
    workspace = re.compile(r"/workspace-\d+")

    @io.use(namespace=workspace)
    def check(session):
        if session.namespace == "/workspace-13":
            raise ConnectRefused("Unlucky.")

    @io.on("where", namespace=workspace)
    def where(session):
        return session.namespace

    @io.on_disconnect(namespace=workspace)
    def went(session, reason):
        journal.append(["disconnected", session.id, reason])

    @io.on("where", namespace="/workspace-7")
    def named(session):
        return "the named one"

    def is_tenant(name, auth):
        if auth.get("break"):
            raise RuntimeError("the function failed")
        return name == f"/tenant/{auth.get('tenant')}"

    @io.on("where", namespace=is_tenant)
    def tenant(session):
        return ["tenant", session.namespace]


def add_views(app, chat, journal):
    @app.post("/io/<method>")
    def use(method):
        asked = request.get_json()
        args, options = asked["args"], {"namespace": NAMESPACE, **asked["options"]}
        if method == "ask":
            method, options["ack"] = "emit", note_answers
        try:
            return jsonify(shown(getattr(chat.io, method)(*args, **options)))
        except AckTimeout as error:
            answers = error.answers
            return jsonify({"came": answers, "missing": answers.missing, "complete": answers.is_complete})
        except (ValueError, TypeError) as error:
            return jsonify({"refused": str(error)})

    def note_answers(answers):
        journal.append(["answers", list(answers), answers.missing])

    @app.post("/remote/<method>")
    def remote(method):
        asked = request.get_json()
        (session,) = chat.io.sessions(asked["id"], NAMESPACE)
        kind, result = type(session).__name__, getattr(session, method)(*asked["args"])
        return jsonify([kind, shown(result)])

    @app.get("/journal")
    def read_journal():
        return jsonify(journal)


def shown(result):
    if isinstance(result, list) and result and hasattr(result[0], "handshake"):
        return [session_fields(session) for session in result]
    if isinstance(result, list):
        return [one.hex() if isinstance(one, bytes) else one for one in result]
    return result


def session_fields(session):
    return {
        "kind": type(session).__name__,
        "id": session.id,
        "namespace": session.namespace,
        "user": session.identity and session.identity.username,
        "rooms": sorted(session.rooms),
        "data": {key: value for key, value in session.data.items() if key != "object"},
        "handshake": asdict(session.handshake),
    }
