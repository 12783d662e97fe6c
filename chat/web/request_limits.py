"""Clients that are slow on purpose: a WSGI middleware that bounds how long, and how many at a time, may hold a server.

A request is *held* by its client while the client sends its head or its body, or takes a response. Each of these ends
after a time, and those of one address are limited. A request that waits for the site (a poll, a stream, a slow view)
is not held, and counts nothing.

The gunicorn hooks wrap the worker's app in this, so that it covers the host site's own views too.
"""

from __future__ import annotations

import _socket
import contextlib
import io
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..config import Settings
from ..identity.networks import network_of
from ..rooms.rate import Rate
from .body_reading import read_in_turns
from .slow_sockets import Deadlines, peek, reset, set_kernel_timeout, shut, wait_readable

#: A response is sent in pieces of this size, each of which has CHAT_SEND_TIMEOUT.
PIECE = 16_384
#: No address is refused below so many held requests, however few threads the server has: a browser opens six
#: connections.
LEAST = 8
#: Characters of an Accept-Language that is read: browsers send a hundred, and 30 KB take a tenth of a second.
MAX_LANGUAGES = 1_000
#: Bytes of a head or body that may have come already.
MAX_PEEK = 16_384
KEY = "flask_chat.held"
_REFUSED = b"Your address sends too many requests, or leaves too many unfinished. Try again soon.\n"


class HeldRequests:
    """How many requests the clients of each address hold."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()

    def is_full(self, address: str) -> bool:
        """Return whether an address holds as many as it may. Clients without one, behind a Unix socket, are never."""
        return bool(address) and self._held[address] >= self.limit

    def add(self, address: str) -> None:
        """The client holds one more."""
        with self._lock:
            self._held[address] += 1

    def remove(self, address: str) -> None:
        """It holds one less."""
        with self._lock:
            self._held[address] -= 1
            if not self._held[address]:
                del self._held[address]


class RequestLimits:
    """A WSGI app around `app` with the limits of `settings`.

    `capacity` is how many requests the server serves at a time: one address may hold at most three quarters of them.
    `proxies` is the number of trusted proxies in front. WebSockets of an address that has exceeded the rate `connects`
    are refused before the site sees them, which makes a flood of them cheap.
    """

    def __init__(self, app: Any, settings: Settings, capacity: int, proxies: int, connects: Rate) -> None:
        self._connects = connects
        self._app = app
        #: As the app's, for who finds the chat by them.
        self.extensions = getattr(app, "extensions", {})
        self._send_timeout = settings.send_timeout
        self._proxies = proxies
        self.deadlines = Deadlines(settings.receive_timeout)
        self.held = HeldRequests(min(settings.max_requests_per_ip, max(LEAST, capacity * 3 // 4)))
        #: {id of a socket whose first head has not been read yet: its address, None where the head has come whole}
        self._heads: dict[int, str | None] = {}

    # ---- heads: called by the server's hooks ---------------------------------------------------------------------

    def begin_head(self, sock: Any, peer: str, patience: float = 0.0) -> bool:
        """Expect the head of a request; a peer that holds too many is cut off, and the answer is False.

        A head that has come already holds nothing: an office behind one address may send many at the same moment. A
        server with threads may wait for it with some `patience`, in seconds.
        """
        # A proxy sends whole heads, for many clients.
        address = "" if self._proxies else network_of(peer)
        is_full = self.held.is_full(address)
        if is_full and patience:
            wait_readable(sock, patience)
        if b"\r\n\r\n" in peek(sock, MAX_PEEK):
            self._heads[id(sock)] = None
            return True
        if is_full:
            shut(sock, _socket.SHUT_RDWR)
            return False
        self.held.add(address)
        self._heads[id(sock)] = address
        self.deadlines.begin(sock)
        return True

    def end_head(self, sock: Any) -> bool:
        """The head has come, or the connection has ended; False where it is not the connection's first."""
        is_first = id(sock) in self._heads
        address = self._heads.pop(id(sock), None)
        if address is not None:
            self.deadlines.end(sock)
            self.held.remove(address)
        return is_first

    # ---- requests ------------------------------------------------------------------------------------------------

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve one request; 503 where its address holds too many."""
        sock = socket_of(environ)
        if sock is None or KEY in environ:
            return self._app(environ, start_response)
        if not (is_first := self.end_head(sock)):
            time.sleep(0)  # gevent's: thousands of requests sent at once would run before anything else
        if len(environ.get("HTTP_ACCEPT_LANGUAGE", "")) > MAX_LANGUAGES:
            del environ["HTTP_ACCEPT_LANGUAGE"]
        address = self._address(environ)
        if is_websocket(environ):
            if self._connects.is_exceeded(address):
                return self._refuse(start_response, sock, "429 Too Many Requests")
            if not is_first:
                set_kernel_timeout(sock, 0)  # a response before it has set one
            return self._app(environ, start_response)
        if self.held.is_full(address):
            return self._refuse(start_response, sock, "503 Service Unavailable")
        request = environ[KEY] = _Request(self, sock, address)
        if has_body(environ):
            request.begin_body(environ)
        try:
            chunks = self._app(environ, start_response)
        except BaseException:
            request.end()
            raise
        return self._send(environ, request, chunks)

    def _address(self, environ: dict[str, Any]) -> str:
        """Return the client's address, as ProxyFix finds it."""
        peer = environ.get("REMOTE_ADDR", "")
        if self._proxies:
            chain = [part.strip() for part in environ.get("HTTP_X_FORWARDED_FOR", "").split(",")]
            peer = chain[-self._proxies] if len(chain) >= self._proxies else peer
        return network_of(peer)

    def _refuse(self, start_response: Callable[..., Any], sock: Any, status: str) -> Iterable[bytes]:
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(_REFUSED)))]
        start_response(status, [*headers, ("Retry-After", "5")])
        try:
            yield _REFUSED
        finally:
            shut(sock, _socket.SHUT_RD)  # or the server would wait for the rest of the body

    def _send(self, environ: dict[str, Any], request: _Request, chunks: Iterable[bytes]) -> Iterable[bytes]:
        request.begin_response(self._send_timeout)
        wrapper = environ.get("wsgi.file_wrapper")
        if isinstance(wrapper, type) and isinstance(chunks, wrapper):
            # The server sends the file itself, and each part of it that the client takes begins the time anew.
            return _with_end(chunks, request)
        return self._pieces(request, chunks)

    def _pieces(self, request: _Request, chunks: Iterable[bytes]) -> Iterator[bytes]:
        try:
            for chunk in chunks:
                for start in range(0, len(chunk), PIECE) or (0,):
                    with request.sending():
                        yield chunk[start : start + PIECE]
        except GeneratorExit:
            request.abort()
            raise
        finally:
            request.end()
            if hasattr(chunks, "close"):
                chunks.close()


class _Request:
    """One request: what its client holds of it."""

    def __init__(self, limits: RequestLimits, sock: Any, address: str) -> None:
        self.sock = sock
        self._held = limits.held
        self._deadlines = limits.deadlines
        self._address = address
        self._awaits_body = False

    def begin_body(self, environ: dict[str, Any]) -> None:
        """The client holds the request until its body has been read, unless all of it has come."""
        if not has_come(environ, self.sock):
            self._awaits_body = True
            self._held.add(self._address)
            self._deadlines.begin(self.sock)
        read_in_turns(environ["wsgi.input"])
        length = environ.get("CONTENT_LENGTH", "")
        environ["wsgi.input"] = Body(
            environ["wsgi.input"], int(length) if length.isdigit() else None, self.end_body
        )

    def end_body(self) -> None:
        """The body has been read, or nobody will read it."""
        if self._awaits_body:
            self._awaits_body = False
            self._deadlines.end(self.sock)
            self._held.remove(self._address)

    @contextlib.contextmanager
    def sending(self) -> Iterator[None]:
        """Count the request as held while the server sends something of the response."""
        self._held.add(self._address)
        try:
            yield
        finally:
            self._held.remove(self._address)

    def begin_response(self, seconds: float) -> None:
        """Have sending fail once the client has taken nothing for `seconds`, in the server and in the kernel."""
        self.sock.settimeout(seconds)
        set_kernel_timeout(self.sock, seconds)

    def abort(self) -> None:
        """The client did not take the response."""
        reset(self.sock)

    def end(self) -> None:
        """The response has been sent, or cannot be."""
        self.end_body()
        with contextlib.suppress(OSError):
            self.sock.settimeout(None)


class Body:
    """wsgi.input that calls `ended` once, when all of it has been read."""

    def __init__(self, body: Any, length: int | None, ended: Callable[[], None]) -> None:
        self._body = body
        self._left = length
        self._ended = ended

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def read(self, *size: int) -> bytes:
        """Read as the server's own does."""
        return self._note(self._body.read(*size), size)

    def readline(self, *size: int) -> bytes:
        """Read a line as the server's own does."""
        return self._note(self._body.readline(*size), size)

    def readlines(self, *hint: int) -> list[bytes]:
        """Read all lines, whatever the hint."""
        return list(self)

    def _note(self, data: bytes, size: tuple[Any, ...]) -> bytes:
        if self._left is not None:
            self._left -= len(data)
        if self._left == 0 or (not data and size != (0,)):
            self._ended()
        return data


def _with_end(file: Any, request: _Request) -> Any:
    close = getattr(file, "close", None)

    def close_and_end() -> None:
        request.end()
        if close is not None:
            close()

    file.close = close_and_end
    return file


def socket_of(environ: dict[str, Any]) -> Any:
    """Return the request's connection, from gunicorn's workers or gevent's own server; None from others."""
    if "gunicorn.socket" in environ:
        return environ["gunicorn.socket"]
    raw = getattr(getattr(environ["wsgi.input"], "rfile", None), "raw", None)
    return getattr(raw, "_sock", None)


def has_body(environ: dict[str, Any]) -> bool:
    """Return whether a request has a body."""
    return environ.get("CONTENT_LENGTH", "") not in ("", "0") or "HTTP_TRANSFER_ENCODING" in environ


def has_come(environ: dict[str, Any], sock: Any) -> bool:
    """Return whether all of a short body has come: gunicorn has read it with the head, or it waits in the kernel."""
    length = environ.get("CONTENT_LENGTH", "")
    read = getattr(getattr(getattr(environ["wsgi.input"], "reader", None), "unreader", None), "buf", None)
    if not length.isdigit() or int(length) > MAX_PEEK or not isinstance(read, io.BytesIO):
        return False
    missing = int(length) - read.getbuffer().nbytes
    return missing <= 0 or len(peek(sock, missing)) == missing


def is_websocket(environ: dict[str, Any]) -> bool:
    """Return whether a request asks for a WebSocket, as werkzeug's routing sees it; such a request has no body."""
    connection = environ.get("HTTP_CONNECTION", "").lower().split(",")
    asks = any(part.strip() == "upgrade" for part in connection)
    return asks and environ.get("HTTP_UPGRADE", "").lower() == "websocket" and not has_body(environ)


def proxies_of(app: Any) -> int:
    """Return the number of proxies whose X-Forwarded-For the app's ProxyFix trusts; 0 without one."""
    middleware, seen = getattr(app, "wsgi_app", None), []
    while middleware is not None and middleware not in seen:
        seen.append(middleware)
        if isinstance(count := getattr(middleware, "x_for", None), int):
            return count
        middleware = getattr(middleware, "wsgi_app", None) or getattr(middleware, "app", None)
    return 0
