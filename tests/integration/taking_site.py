"""The reference site on a gunicorn as old as 20.1, whose sockets cannot always be taken: the app of test_taking.py.

The query parameter `fail` of a handshake says how it fails.
"""

import io
import os
from urllib.parse import parse_qs

from flask import Flask, Response
from gunicorn.http.unreader import Unreader

from app import create_app as create_reference_app

if os.environ.get("OLD_GUNICORN"):
    del Unreader.take_buffered


class SiteResponse(Response):
    """A site may have a response class of its own, which Flask gives to all responses."""

    def __call__(self, environ, start_response):
        environ["wsgi.errors"].write(f"the site answers {environ['PATH_INFO']}\n")
        return super().__call__(environ, start_response)


class BrokenBuffer(io.BytesIO):
    def getvalue(self):
        raise RuntimeError("gunicorn's buffer is broken")


def break_buffer(environ):
    """gunicorn's buffer raises once the socket has been taken."""
    environ["wsgi.input"].reader.unreader.buf = BrokenBuffer()


def hide_reader(environ):
    """The server, or something in front of the app, does not let the chat see what it has read."""
    environ["wsgi.input"] = io.BytesIO()


FAILURES = {"buffer": break_buffer, "reader": hide_reader}


def create_app() -> Flask:
    app = create_reference_app()
    app.response_class = SiteResponse
    serve, check = app.wsgi_app, app.extensions["chat"].guard.check

    def failing(environ, start_response):
        how = parse_qs(environ["QUERY_STRING"]).get("fail", [""])[0]
        FAILURES.get(how, lambda environ: None)(environ)
        return serve(environ, start_response)

    def check_or_fail(token):
        if token == "fail":
            raise RuntimeError("the view failed")
        return check(token)

    app.wsgi_app = failing
    app.extensions["chat"].guard.check = check_or_fail
    return app
