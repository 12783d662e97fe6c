"""The reference site with additional routes of its own: the app of the server matrix."""

import time

from flask import Flask, request
from flask_sock import Sock

from app import create_app as create_reference_app


def create_app():
    return extend(create_reference_app())


def extend(app: Flask):
    """Give the app two flask-sock routes of the site's own (with a single Sock) and a slow page."""
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
        """Tell the lobby that it began, then take `seconds`."""
        app.extensions["chat"].send("lobby", "slow page begun")
        time.sleep(float(request.args["seconds"]))
        return "slow page done"

    return app
