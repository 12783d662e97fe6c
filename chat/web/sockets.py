"""Parking sockets: check a WebSocket handshake, take the socket from the web server, and end the request.

So environ, request and greenlet are freed at once. The response to the handshake is not sent here: it leaves in one
write with the first frames (docs/decisions/0004).
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import io
import logging
import os
import socket
import ssl
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache, wraps
from typing import Any

from flask import Request, Response, request
from flask_sock import Sock

from ..rooms.client import Taken
from ..wire.errors import CloseCode
from ..wire.frames import close_frame
from .responses import for_site

log = logging.getLogger("flask_chat")

#: The only version of RFC 6455, and the GUID that its section 1.3 appends to every key.
VERSION = "13"
NO_TLS = "A TLS socket cannot be parked: put TLS in a proxy in front of this server."
NO_ACCESS = (
    "This server gives the chat no access to its sockets, so no client can connect. "
    "Serve the site with gunicorn 20.1 or newer, gevent's WSGIServer or `flask run`."
)
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\n"
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n"
)


def is_isolated_worker(environ: Mapping[str, Any], redis_url: str) -> bool:
    """Return whether this worker is one of several without a broker between them."""
    return bool(environ.get("wsgi.multiprocess")) and not redis_url


class RefusedUpgrade(Exception):
    """The request does not become a socket; `response` is its HTTP response."""

    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.response = Response(sentence + "\n", status, headers, mimetype="text/plain")


class ParkingSock(Sock):
    """A Sock whose routes take their socket from the server and return at once.

    The view is called with a Taken. An exception of the view is only logged: Flask would write an HTTP response into
    the upgraded stream. The site's own flask-sock routes are not affected.
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
                except BaseException as error:
                    os.close(taken.fd)
                    if not isinstance(error, Exception):
                        raise
                    log.exception("a socket could not be parked")
                return response

            (bp or self.app).route(path, websocket=True, **kwargs)(parked_route)
            return parked_route

        return decorator


def check_upgrade(request: Request) -> None:
    """Raise RefusedUpgrade unless the request is a valid handshake (RFC 6455 section 4.2.1)."""
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
    if request.content_length or "Transfer-Encoding" in headers:
        raise RefusedUpgrade(400, "A WebSocket handshake has no body.")


def take(environ: dict[str, Any]) -> tuple[Taken, Response]:
    """Take the socket of this request from the server; return it, and the response that the view must return.

    Raises RefusedUpgrade before anything is taken. Whatever fails afterwards closes the descriptor.
    """
    adopted = environ.get("wsgi.websocket")
    if adopted is not None:
        return _take_adopted(adopted)
    mode, server_socket = _server_socket(environ)
    if isinstance(server_socket, ssl.SSLSocket):
        raise RefusedUpgrade(501, NO_TLS)
    handshake = answer(environ["HTTP_SEC_WEBSOCKET_KEY"])
    unreader = _unreader(environ) if mode == "gunicorn" else None
    fd = _detach(server_socket)
    with _closed_on_failure(fd):
        # A reader is asked only now that the server's socket is dead: it would wait for the client otherwise.
        early = _buffered(_reader(environ)) if unreader is None else _take_buffered(unreader)
        return Taken(fd, handshake, early), for_site(Parked)(mode)


def _take_adopted(adopted: Any) -> tuple[Taken, Response]:
    # gevent-websocket has answered the handshake already; a second response would corrupt the stream.
    if isinstance(adopted.handler.socket, ssl.SSLSocket):
        adopted.handler.socket.sendall(close_frame(CloseCode.INTERNAL, NO_TLS))
        raise RefusedUpgrade(501, NO_TLS)
    fd = _detach(adopted.handler.socket)
    with _closed_on_failure(fd):
        adopted.closed = True
        return Taken(fd, b"", _buffered(adopted.handler.rfile)), for_site(Parked)("gevent")


@contextlib.contextmanager
def _closed_on_failure(fd: int) -> Iterator[None]:
    try:
        yield
    except BaseException:
        os.close(fd)
        raise


def answer(key: str) -> bytes:
    """Return the response to the handshake with that key (RFC 6455 section 4.2.2).

    No extension is accepted: permessage-deflate would cost 300 KB of zlib per connection, and allow decompression
    bombs.
    """
    digest = hashlib.sha1(key.strip().encode("latin-1") + GUID, usedforsecurity=False).digest()
    return ANSWER % base64.b64encode(digest)


def _server_socket(environ: dict[str, Any]) -> tuple[str, Any]:
    for mode in ("werkzeug", "gunicorn"):
        if f"{mode}.socket" in environ:
            return mode, environ[f"{mode}.socket"]
    server_socket = getattr(getattr(_reader(environ), "raw", None), "_sock", None)
    if server_socket is None:
        raise _no_access(environ)
    return "gevent", server_socket


def _unreader(environ: dict[str, Any]) -> Any:
    """Return the object in which gunicorn keeps what it has read of this connection beyond the request."""
    unreader = getattr(getattr(environ["wsgi.input"], "reader", None), "unreader", None)
    if not isinstance(getattr(unreader, "buf", None), io.BytesIO):
        raise _no_access(environ)
    return unreader


def _no_access(environ: dict[str, Any]) -> RefusedUpgrade:
    _log_no_access(environ.get("SERVER_SOFTWARE", "an unknown server"))
    return RefusedUpgrade(501, NO_ACCESS)


@cache
def _log_no_access(server: str) -> None:
    """Log once in each process that `server` cannot serve the chat."""
    log.error("%s: %s", server, NO_ACCESS)


def _detach(server_socket: Any) -> int:
    """Return a descriptor of the connection, and leave the server with a dead socket.

    gevent's sockets are detached, which removes them from its loop too. From other servers the chat takes a duplicate
    and puts a dead socket under the server's descriptor: whatever the server still writes, shuts down or closes affects
    only that.
    """
    if "gevent" in sys.modules and type(server_socket).__module__.startswith("gevent"):
        return server_socket.detach()
    fd = os.dup(server_socket.fileno())
    with _closed_on_failure(fd):
        dead, peer = socket.socketpair()
        with dead, peer:
            os.dup2(dead.fileno(), server_socket.fileno(), inheritable=False)
    return fd


def _take_buffered(unreader: Any) -> bytes:
    """Return what gunicorn has read of the connection beyond the request, and leave it nothing.

    From 26.2 on `take_buffered()` does the same; `buf` is what every version from 20.1 has.
    """
    data = unreader.buf.getvalue()
    unreader.buf = io.BytesIO()
    return data


def _reader(environ: dict[str, Any]) -> Any:
    body = environ["wsgi.input"]
    return body if hasattr(body, "raw") else getattr(body, "rfile", body)


def _buffered(reader: Any) -> bytes:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return reader.peek(1)
    return b""


class Parked(Response):
    """The response to a request whose socket was taken: it makes each kind of server send nothing."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self._mode = mode

    def __call__(self, environ: Any, start_response: Any) -> Any:
        if self._mode == "gunicorn":
            raise StopIteration
        if self._mode == "gevent":
            return []
        return super().__call__(environ, start_response)
