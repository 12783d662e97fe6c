"""Serve an app with gevent's own WSGI server, as a site without gunicorn does: the `pywsgi` rows of the matrix.

SIGTERM ends it as the README describes: chat.drain(), then the server stops accepting and the process ends.
"""

from gevent import monkey

monkey.patch_all()

import argparse
import importlib
import signal

import gevent
from gevent.pool import Pool
from gevent.pywsgi import WSGIServer

#: Seconds that running requests may take after SIGTERM.
GRACE = 10


def load(name):
    """The app that `module:attribute` or `module:factory()` names."""
    module, _, attribute = name.partition(":")
    found = getattr(importlib.import_module(module), attribute.removesuffix("()"))
    return found() if attribute.endswith("()") else found


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("app")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--websocket-handler", action="store_true", help="gevent-websocket's request handler")
    return parser.parse_args()


def main():
    chosen = options()
    app = load(chosen.app)
    extra = {}
    if chosen.websocket_handler:
        from geventwebsocket.handler import WebSocketHandler

        extra["handler_class"] = WebSocketHandler
    # Without a pool of its own a WSGIServer does not track running requests, and waits for none.
    server = WSGIServer(("127.0.0.1", chosen.port), app, spawn=Pool(), **extra)

    def stop():
        app.extensions["chat"].drain()
        server.close()

    gevent.signal_handler(signal.SIGTERM, stop)
    server.serve_forever(stop_timeout=GRACE)


if __name__ == "__main__":
    main()
