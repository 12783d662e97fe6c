"""A site that treats its chat badly: what test_tick.py serves."""

import time
from contextlib import ExitStack

from flask import Flask, jsonify, request

import chat.loop.reactor
from app import create_app as create_reference_app
from chat import signals
from chat.loop.drivers import allocate_lock

#: Types of messages whose handlers raise, and close everybody else.
RAISE, CLOSE_OTHERS = 90, 91
#: Seconds for which a receiver sleeps that was told to.
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
    heard, lock = [], allocate_lock()

    def receive(sender, identity, text, **_):
        if text == "throw":
            raise RuntimeError("a receiver of the site's own")
        if text == "exit":
            raise SystemExit
        if text == "sleep":
            time.sleep(SLEEP)
        with lock:
            heard.append((identity.username, text))

    signals.message_sent.connect(receive, sender=app, weak=False)
    app.add_url_rule("/heard", "heard", lambda: jsonify(heard))


def add_views(app, state):
    @app.get("/hold-the-log")
    def hold_the_log():
        """Hold the locks of the chat's log for `seconds`, once the lobby was told."""
        with ExitStack() as held:
            for handler in logger_of_the_chat().handlers:
                held.enter_context(handler.lock)
            state.send("lobby", "the log is held")
            time.sleep(float(request.args["seconds"]))
        return "released"

    @app.get("/break-the-door")
    def break_the_door():
        """Have the next one who comes in meet an error half-way."""
        hub = state.start().hub
        whole = hub.on_connected

        def broken(client):
            hub.on_connected = whole
            raise RuntimeError("half-way in")

        hub.on_connected = broken
        return "broken"

    @app.get("/kick-at-the-door")
    def kick_at_the_door():
        """Have the next one who comes kicked between the look at the token and the way in."""
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

    logger = logging.getLogger("chat")
    return logger if logger.handlers else logging.getLogger()
