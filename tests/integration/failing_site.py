"""A site whose handlers and receivers fail: the app of test_tick.py."""

import time
from contextlib import ExitStack

from flask import Flask, jsonify, request

import chat.loop.reactor
from app import create_app as create_reference_app
from chat import signals
from chat.loop.drivers import allocate_lock

#: Message types: the handler raises; the handler closes all other clients.
RAISE, CLOSE_OTHERS = 90, 91
#: Seconds that the receiver sleeps on "sleep".
SLEEP = 2.0

chat.loop.reactor.STALL = 1.5


def create_app() -> Flask:
    app = create_reference_app()
    state = app.extensions["chat"]
    state.handlers |= {RAISE: raise_error, CLOSE_OTHERS: close_others}
    add_receiver(app)
    add_views(app, state)
    return app


def raise_error(dispatcher, client, envelope):
    raise RuntimeError("a handler of the site's own")


def close_others(dispatcher, client, envelope):
    for other in dispatcher.hub.clients():
        if other is not client:
            other.close(4403, "by another")


def add_receiver(app):
    received, lock = [], allocate_lock()

    def receive(sender, identity, text, **_):
        if text == "throw":
            raise RuntimeError("a receiver of the site's own")
        if text == "exit":
            raise SystemExit
        if text == "sleep":
            time.sleep(SLEEP)
        with lock:
            received.append((identity.username, text))

    signals.message_sent.connect(receive, sender=app, weak=False)
    app.add_url_rule("/heard", "heard", lambda: jsonify(received))


def add_views(app, state):
    @app.get("/hold-the-log")
    def hold_the_log():
        """Tell the lobby, then hold the locks of the chat's log for `seconds`."""
        with ExitStack() as held:
            for handler in logger_of_the_chat().handlers:
                held.enter_context(handler.lock)
            state.send("lobby", "the log is held")
            time.sleep(float(request.args["seconds"]))
        return "released"

    @app.get("/fail-next-admission")
    def fail_next_admission():
        """Make the admission of the next client fail halfway."""
        hub = state.start().hub
        whole = hub.on_connected

        def broken(client):
            hub.on_connected = whole
            raise RuntimeError("halfway")

        hub.on_connected = broken
        return "broken"

    @app.get("/kick-next-user")
    def kick_next_user():
        """Kick the next user between the check of the token and the admission."""
        check = state.guard.check

        def check_and_kick(token):
            state.guard.check = check
            granted = check(token)
            state.guard.revoke(granted.identity.id, granted.issued + 1)
            return granted

        state.guard.check = check_and_kick
        return "waiting"

    @app.get("/stop-the-reactor")
    def stop_the_reactor():
        state.start().driver.stop()
        return "stopped"


def logger_of_the_chat():
    import logging

    logger = logging.getLogger("flask_chat")
    return logger if logger.handlers else logging.getLogger()
