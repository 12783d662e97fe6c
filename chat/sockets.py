"""/ws/chat through flask-sock: check the request, upgrade, say who it is, hand the descriptor to the hub.

The request ends as soon as its socket is parked, so that environ, request and greenlet are freed.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import socket
import ssl
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Request, Response, request
from flask_sock import Sock
from simple_websocket import Server

#: The only version of RFC 6455.
VERSION = "13"


class NoThread:
    """Stands in for simple-websocket's reader thread, which never runs: the reactor reads."""

    name = "parked"

    def __init__(self, target: Any = None) -> None:
        pass

    def start(self) -> None:
        """Start nothing."""


class RefusedUpgrade(Exception):
    """This request gets no socket; `response` says why."""

    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.response = Response(sentence + "\n", status, headers, mimetype="text/plain")


class ParkingSock(Sock):
    """flask-sock whose routes let go of their socket.

    The view is called with the descriptor, which is now its own, and the bytes that came with the handshake.
    flask-sock reads SOCK_SERVER_OPTIONS for the whole app; a thread class that never reads must be ours alone.
    """

    def route(self, path: str, bp: Any = None, check: Callable[[Request], None] | None = None, **kwargs: Any) -> Any:
        """Route `path` to a view; `check(request)` may raise RefusedUpgrade before the upgrade."""

        def decorator(view: Callable[..., None]) -> Callable[..., Response]:
            @wraps(view)
            def parked_route(*args: Any, **values: Any) -> Response:
                try:
                    check_upgrade(request)
                    if check is not None:
                        check(request)
                    fd, early, response = park(request.environ)
                except RefusedUpgrade as refused:
                    return refused.response
                view(fd, early, *args, **values)
                return response

            (bp or self.app).route(path, websocket=True, **kwargs)(parked_route)
            return parked_route

        return decorator


def check_upgrade(request: Request) -> None:
    """Raise RefusedUpgrade unless the request is a good handshake (RFC 6455 section 4.2.1)."""
    headers = request.headers
    if headers.get("Sec-WebSocket-Version") != VERSION:
        raise RefusedUpgrade(426, "This is WebSocket version 13 only.", {"Sec-WebSocket-Version": VERSION})
    try:
        key = base64.b64decode(headers.get("Sec-WebSocket-Key", ""), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != 16:
        raise RefusedUpgrade(400, "Sec-WebSocket-Key must be 16 bytes in base64.")
    if "upgrade" not in headers.get("Connection", "").lower():
        raise RefusedUpgrade(400, "A WebSocket handshake needs `Connection: Upgrade`.")


def park(environ: dict[str, Any]) -> tuple[int, bytes, Response]:
    """Finish the handshake and take the socket away from the server: its descriptor, early bytes, what to return."""
    adopted = environ.get("wsgi.websocket")
    if adopted is not None:
        # gevent-websocket upgraded before Flask saw the request; a second handshake would corrupt the stream.
        handler = adopted.handler
        fd = _detach(handler.socket)
        adopted.closed = True
        return fd, _buffered(handler.rfile), Parked("gevent")
    server_socket = _server_socket(environ)
    if isinstance(server_socket, ssl.SSLSocket):
        raise RefusedUpgrade(501, "A TLS socket cannot be parked: put TLS in a proxy in front of this server.")
    # permessage-deflate would cost 300 KB of zlib a connection, and take decompression bombs.
    environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
    ws = Server(environ, thread_class=NoThread)
    fd = _detach(server_socket)
    if ws.sock is not server_socket:
        ws.sock.close()
    return fd, _early(environ), Parked(ws.mode)


def _server_socket(environ: dict[str, Any]) -> Any:
    for key in ("werkzeug.socket", "gunicorn.socket"):
        if key in environ:
            return environ[key]
    raw = getattr(_reader(environ), "raw", None)
    if raw is None:
        raise RefusedUpgrade(501, "This server does not give its sockets away; run gunicorn, gevent or Flask's own.")
    return raw._sock


def _detach(server_socket: Any) -> int:
    """Return a descriptor of our own and leave the server with a dead one.

    gevent's sockets are detached, which frees their place in its loop too. From others we take a duplicate and put a
    dead socket under the server's number: what the server still writes, shuts down or closes falls on that.
    """
    if "gevent" in sys.modules and type(server_socket).__module__.startswith("gevent"):
        return server_socket.detach()
    fd = os.dup(server_socket.fileno())
    dead, other = _original_socketpair()
    other.close()
    os.dup2(dead.fileno(), server_socket.fileno(), inheritable=False)
    dead.close()
    return fd


def _original_socketpair() -> tuple[Any, Any]:
    # Both ends are used here and now, and block nothing: gevent's version serves as well.
    return socket.socketpair()


def _early(environ: dict[str, Any]) -> bytes:
    """Return what the client sent behind its handshake, which the server has read already."""
    body = environ["wsgi.input"]
    unreader = getattr(getattr(body, "reader", None), "unreader", None)
    if unreader is not None:
        return unreader.take_buffered()
    return _buffered(_reader(environ))


def _reader(environ: dict[str, Any]) -> Any:
    body = environ["wsgi.input"]
    return body if hasattr(body, "raw") else getattr(body, "rfile", body)


def _buffered(reader: Any) -> bytes:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return reader.peek(1)
    return b""


class Parked(Response):
    """What the view returns for a request whose socket is gone: each server's way to say nothing more."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self._mode = mode

    def __call__(self, environ: Any, start_response: Any) -> Any:
        if self._mode == "gunicorn":
            raise StopIteration
        if self._mode == "gevent":
            return []
        return super().__call__(environ, start_response)
