"""The Flask routes of Socket.IO: long-polling as ordinary views, WebSocket through the parking route."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson
from flask import Blueprint, Flask, Request, Response, current_app, request

from ..config import SEVERAL_WORKERS
from ..i18n import best_language
from ..identity.guard import origin_allowed
from ..rooms.client import Taken
from ..service import ChatService
from ..socketio import bad_request, sids
from ..socketio.bad_request import BadRequest
from ..socketio.echo import Echo
from ..socketio.engine import POLLING, WEBSOCKET, Engine
from ..socketio.forwarding.client import ForwardingClient
from ..socketio.forwarding.sessions import LocalSession, SessionHandle
from ..socketio.handshake import pack
from ..socketio.sessions import OpeningRequest
from .socket_route import check_connect_rate
from .sockets import ParkingSock, RefusedUpgrade, is_isolated_worker

log = logging.getLogger("flask_chat")

VERSION = "4"
#: The cookie to which the ids of polling sessions are bound, where a client keeps it.
COOKIE = "chat_io"
#: Seconds that a browser may remember the answer to a preflight.
PREFLIGHT_AGE = 600

NO_PLACE = "The server is full or restarting, or your address has too many connections; try again later."


class Endpoint(NamedTuple):
    """The sessions that a path serves: this worker's engine, and its way to those of its peers where there is one."""

    engine: Engine
    forwarding: ForwardingClient | None = None


EndpointOf = Callable[[ChatService], Endpoint]


def add_routes(blueprint: Blueprint | Flask, path: str, endpoint_of: EndpointOf, name: str) -> None:
    """Serve Engine.IO at `path`, with and without a slash at its end; `name` begins the endpoints' names."""
    routes = Routes(endpoint_of)
    path = "/" + path.strip("/")
    for rule, suffix in ((path + "/", ""), (path, "_bare")):
        blueprint.add_url_rule(
            rule,
            f"{name}{suffix}",
            routes.http,
            methods=["GET", "POST", "OPTIONS", "PUT", "DELETE", "PATCH"],
            provide_automatic_options=False,
            strict_slashes=True,
        )
        ParkingSock().route(
            rule, blueprint, routes.check, endpoint=f"{name}{suffix}_socket", strict_slashes=True
        )(routes.socket)


class Routes:
    """The views of one path."""

    def __init__(self, endpoint_of: EndpointOf) -> None:
        self._endpoint_of = endpoint_of

    # ---- long-polling ----------------------------------------------------------------------------------------

    def http(self) -> Response:
        """Serve one request of a polling client."""
        chat: ChatService = current_app.extensions["chat"]
        try:
            if not _origin_allowed(request, chat):
                raise BadRequest(*bad_request.FORBIDDEN)
            response = self._preflight() if request.method == "OPTIONS" else self._serve(chat)
        except BadRequest as bad:
            status = 403 if bad.code == bad_request.FORBIDDEN[0] else 400
            response = _json({"code": bad.code, "message": bad.message}, status)
        if (origin := request.headers.get("Origin")) and response.status_code != 403:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Allow-Credentials"] = "true"
        response.headers["Vary"] = "Origin"
        response.headers["Cache-Control"] = "no-store"
        return response

    def _serve(self, chat: ChatService) -> Response:
        _check_workers(request, chat)
        _check_query(request, chat)
        if request.args.get("transport") != POLLING:
            raise BadRequest(*bad_request.BAD_REQUEST)
        sid = request.args.get("sid")
        endpoint = self._endpoint_of(chat)
        if sid is None:
            return self._open(chat, endpoint)
        session = _session(chat, endpoint, sid)
        if request.method == "POST":
            return self._post(chat, endpoint.engine, sid, session)
        if request.method != "GET":
            raise BadRequest(*bad_request.BAD_METHOD)
        return _text(session.poll())

    def _open(self, chat: ChatService, endpoint: Endpoint) -> Response:
        engine = endpoint.engine
        if request.method != "GET":
            raise BadRequest(*bad_request.BAD_METHOD)
        try:
            _check_place(chat, engine)
        except RefusedUpgrade as refused:
            return refused.response
        if endpoint.forwarding is not None and _has_peers(chat):
            endpoint.forwarding.listen()
        opening = _opening(chat)
        response = _text(engine.hub.reactor.call_and_wait(engine.open_polling, opening))
        if not opening.cookie:  # for this client's next session: whether it keeps cookies is not known yet
            response.set_cookie(
                COOKIE,
                sids.new_cookie(),
                path=request.script_root + request.path.rstrip("/"),
                secure=request.is_secure,
                httponly=True,
                samesite="Lax",
            )
        return response

    def _post(self, chat: ChatService, engine: Engine, sid: str, session: SessionHandle) -> Response:
        limit = chat.settings.max_message_bytes
        if sid in engine.posting:
            session.abort()
            raise BadRequest(*bad_request.BAD_REQUEST)
        engine.posting.add(sid)
        try:
            # werkzeug cuts a chunked body at this length without an error: one byte more tells that it is too long.
            request.max_content_length = limit + 1
            if (request.content_length or 0) > limit or len(body := request.get_data()) > limit:
                session.abort()
                return Response("The payload is too large.\n", 413, mimetype="text/plain")
            session.post(body)
        finally:
            engine.posting.discard(sid)
        return Response("ok", mimetype="text/html")

    def _preflight(self) -> Response:
        asked = request.headers.get("Access-Control-Request-Headers", "Content-Type")
        headers = {
            "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
            "Access-Control-Allow-Headers": asked,
            "Access-Control-Max-Age": str(PREFLIGHT_AGE),
        }
        return Response(status=204, headers=headers)

    # ---- WebSocket -------------------------------------------------------------------------------------------

    def check(self, request: Request) -> None:
        """Raise RefusedUpgrade for a request that must not become a socket."""
        chat: ChatService = current_app.extensions["chat"]
        try:
            if not _origin_allowed(request, chat):
                raise BadRequest(*bad_request.FORBIDDEN)
            _check_workers(request, chat)
            _check_query(request, chat)
            if request.args.get("transport") != WEBSOCKET:
                raise BadRequest(*bad_request.BAD_REQUEST)
            endpoint, sid = self._endpoint_of(chat), request.args.get("sid")
            if sid is not None:
                _session(chat, endpoint, sid).find()
        except BadRequest as bad:
            status = 403 if bad.code == bad_request.FORBIDDEN[0] else 400
            raise RefusedUpgrade(
                status, orjson.dumps({"code": bad.code, "message": bad.message}).decode()
            ) from None
        if sid is None:
            _check_place(chat, endpoint.engine)

    def socket(self, taken: Taken) -> None:
        """Open a session on a parked socket, or let the socket probe the upgrade of the session that it names."""
        chat: ChatService = current_app.extensions["chat"]
        endpoint = self._endpoint_of(chat)
        engine, sid = endpoint.engine, request.args.get("sid")
        if sid is None:
            engine.hub.reactor.call(engine.open_websocket, taken, _opening(chat))
        else:
            _session(chat, endpoint, sid).probe(taken)


def socketio_endpoint(chat: ChatService) -> Endpoint:
    """Return the sessions of Socket.IO's clients."""
    runtime = chat.start()
    return Endpoint(runtime.io_engine, runtime.io_forwarding)


def add_engine_echo(app: Flask, path: str) -> None:
    """Serve bare Engine.IO at `path`, which echoes every message: for the protocol's own test suite."""
    engines: dict[int, Engine] = {}

    def endpoint_of(chat: ChatService) -> Endpoint:
        runtime = chat.start()
        if runtime.pid not in engines:
            engines[runtime.pid] = Engine(runtime.hub, chat.settings, Echo())
        return Endpoint(engines[runtime.pid])

    add_routes(app, path, endpoint_of, "engine_echo")


def _opening(chat: ChatService) -> OpeningRequest:
    # Without handlers of the site's own, nothing reads the headers.
    return opening_request(request, bool(chat.events))


def opening_request(request: Request, is_kept: bool) -> OpeningRequest:
    """Return what the request that opens a session says of its client; `is_kept`: its headers and address too."""
    args = request.args
    language = best_language(args.get("lang"), request.headers.get("Accept-Language", ""))
    return OpeningRequest(
        request.remote_addr or "",
        language,
        args.get("token", ""),
        args.get("roster") == "diff",
        args.get("lobby") != "0",
        request.is_secure,
        pack(request.script_root + request.full_path, request.headers.items()) if is_kept else b"",
        _cookie(request),
    )


def _cookie(request: Request) -> str:
    return sids.read_cookie(request.cookies.get(COOKIE))


def _check_place(chat: ChatService, engine: Engine) -> None:
    """Raise RefusedUpgrade where the client's address opens sessions too fast, or has too many."""
    check_connect_rate(chat, request)
    if not engine.has_place(request.remote_addr or ""):
        raise RefusedUpgrade(503, NO_PLACE, {"Retry-After": "5"})


def _check_query(request: Request, chat: ChatService) -> None:
    transport = request.args.get("transport")
    if transport not in chat.settings.io_transports:
        raise BadRequest(*bad_request.UNKNOWN_TRANSPORT)
    if request.args.get("EIO") != VERSION:
        raise BadRequest(*bad_request.BAD_VERSION)


def _check_workers(request: Request, chat: ChatService) -> None:
    """Refuse a request where each worker would have a chat of its own; a site's own events do not need one chat."""
    if is_isolated_worker(request.environ, chat.settings.redis_url) and chat.settings.io_chat_namespace:
        log.error(SEVERAL_WORKERS)
        raise BadRequest(*bad_request.BAD_REQUEST)


def _session(chat: ChatService, endpoint: Endpoint, sid: str) -> SessionHandle:
    """Return the session of that id; raise BadRequest for a client without the cookie that the id is bound to."""
    if not sids.may_speak(sid, _cookie(request)):
        raise BadRequest(*bad_request.UNKNOWN_SID)
    if endpoint.forwarding is not None and _has_peers(chat):
        return endpoint.forwarding.session(sid)
    return LocalSession(endpoint.engine, sid)


def _has_peers(chat: ChatService) -> bool:
    return bool(request.environ.get("wsgi.multiprocess") or chat.settings.redis_url)


def _origin_allowed(request: Request, chat: ChatService) -> bool:
    return origin_allowed(request.headers.get("Origin"), request.host, chat.settings.allowed_origins)


def _text(payload: bytes) -> Response:
    return Response(payload, content_type="text/plain; charset=UTF-8")


def _json(message: dict[str, Any], status: int) -> Response:
    return Response(orjson.dumps(message), status, mimetype="application/json")
