"""/ws/chat through flask-sock: check the handshake, take the socket away from the server, let the request end.

So environ, request and greenlet are freed at once. The answer to the handshake is not sent here: it leaves in one
write with what the client is greeted with (docs/decisions/0004).
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import logging
import os
import socket
import ssl
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from flask import Request, Response, request
from flask_sock import Sock

from ..rooms.client import Taken
from ..wire.errors import CloseCode
from ..wire.frames import close_frame

log = logging.getLogger("chat")

#: The only version of RFC 6455, and what its section 1.3 puts behind every key.
VERSION = "13"
NO_TLS = "A TLS socket cannot be parked: put TLS in a proxy in front of this server."
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\n"
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n"
)


def is_isolated_worker(environ: Mapping[str, Any], redis_url: str) -> bool:
    """Tell whether this worker is one of several that nothing joins."""
    return bool(environ.get("wsgi.multiprocess")) and not redis_url


class RefusedUpgrade(Exception):
    """This request gets no socket; `response` says why."""

    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.response = Response(sentence + "\n", status, headers, mimetype="text/plain")


class ParkingSock(Sock):
    """flask-sock whose routes let go of their socket.

    The view is called with a Taken. Whatever fails after that is the view's own affair: an exception here would make
    Flask write an HTTP response into the upgraded stream. The site's own flask-sock routes are not touched.
    """

    def route(
        self, path: str, bp: Any = None, check: Callable[[Request], None] | None = None, **kwargs: Any
    ) -> Any:
        """Route `path` to a view; `check(request)` may raise RefusedUpgrade before the upgrade."""

        def decorator(view: Callable[..., None]) -> Callable[..., Response]:
            @wraps(view)
            def parked_route(*args: Any, **values: Any) -> Response:
                try:
                    check_upgrade(request)
                    if check is not None:
                        check(request)
                    taken, response = take(request.environ)
                except RefusedUpgrade as refused:
                    return refused.response
                try:
                    view(taken, *args, **values)
                except Exception:
                    os.close(taken.fd)
                    log.exception("a socket could not be parked")
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


def take(environ: dict[str, Any]) -> tuple[Taken, Response]:
    """Take the socket of this request away from the server; return it, and what the view has to return."""
    adopted = environ.get("wsgi.websocket")
    if adopted is not None:
        # gevent-websocket answered before Flask saw the request; a second answer would corrupt the stream.
        if isinstance(adopted.handler.socket, ssl.SSLSocket):
            adopted.handler.socket.sendall(close_frame(CloseCode.INTERNAL, NO_TLS))
            raise RefusedUpgrade(501, NO_TLS)
        fd = _detach(adopted.handler.socket)
        adopted.closed = True
        return Taken(fd, b"", _buffered(adopted.handler.rfile)), Parked("gevent")
    mode, server_socket = _server_socket(environ)
    if isinstance(server_socket, ssl.SSLSocket):
        raise RefusedUpgrade(501, NO_TLS)
    fd = _detach(server_socket)
    return Taken(fd, answer(environ["HTTP_SEC_WEBSOCKET_KEY"]), _early(environ)), Parked(mode)


def answer(key: str) -> bytes:
    """Return the server's half of the handshake (RFC 6455 section 4.2.2).

    No extension is accepted: permessage-deflate would cost 300 KB of zlib a connection, and take decompression bombs.
    """
    digest = hashlib.sha1(key.strip().encode("latin-1") + GUID, usedforsecurity=False).digest()
    return ANSWER % base64.b64encode(digest)


def _server_socket(environ: dict[str, Any]) -> tuple[str, Any]:
    for mode in ("werkzeug", "gunicorn"):
        if f"{mode}.socket" in environ:
            return mode, environ[f"{mode}.socket"]
    raw = getattr(_reader(environ), "raw", None)
    if raw is None:
        raise RefusedUpgrade(
            501, "This server does not give its sockets away; run gunicorn, gevent or Flask's own."
        )
    return "gevent", raw._sock


def _detach(server_socket: Any) -> int:
    """Return a descriptor of our own and leave the server with a dead one.

    gevent's sockets are detached, which frees their place in its loop too. From others we take a duplicate and put a
    dead socket under the server's number: what the server still writes, shuts down or closes falls on that.
    """
    if "gevent" in sys.modules and type(server_socket).__module__.startswith("gevent"):
        return server_socket.detach()
    fd = os.dup(server_socket.fileno())
    dead, other = socket.socketpair()
    other.close()
    os.dup2(dead.fileno(), server_socket.fileno(), inheritable=False)
    dead.close()
    return fd


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
        super().__init__(status=101)
        self._mode = mode

    def __call__(self, environ: Any, start_response: Any) -> Any:
        if self._mode == "gunicorn":
            raise StopIteration
        if self._mode == "gevent":
            return []
        return super().__call__(environ, start_response)
