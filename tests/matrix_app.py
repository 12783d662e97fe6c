"""The reference site with routes of its own beside the chat: what the server matrix serves."""

import time

from flask import Flask, request
from flask_sock import Sock

from app import create_app as create_reference_app


def create_app():
    return extend(create_reference_app())


def extend(app: Flask):
    """Give the app two flask-sock routes of the site's own (one Sock, as its author would) and a slow page."""
    sock = Sock(app)

    @sock.route("/own/echo")
    def echo(ws):
        while True:
            ws.send(ws.receive())

    @app.route("/own/native", websocket=True)
    def native():
        """The same echo for a site that is served, and written, with gevent-websocket."""
        ws = request.environ["wsgi.websocket"]
        while (text := ws.receive()) is not None:
            ws.send(text)
        return ""

    @app.get("/slow")
    def slow():
        """Take `seconds`, having told the lobby first that it began."""
        app.extensions["chat"].send("lobby", "slow page begun")
        time.sleep(float(request.args["seconds"]))
        return "slow page done"

    return app
