"""The Flask routes of Socket.IO: long-polling as ordinary views, WebSocket through the parking route."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import orjson
from flask import Blueprint, Flask, Request, Response, current_app, request

from ..config import SEVERAL_WORKERS
from ..i18n import best_language
from ..identity.guard import origin_allowed
from ..rooms.client import Taken
from ..service import ChatService
from ..socketio import engine as engines
from ..socketio.echo import Echo
from ..socketio.engine import POLLING, WEBSOCKET, BadRequest, Engine
from ..socketio.forwarding.sessions import LocalSession, SessionHandle
from ..socketio.sessions import Visitor
from .redaction import redact_pywsgi
from .sockets import ParkingSock, RefusedUpgrade, is_isolated_worker

log = logging.getLogger("chat")

VERSION = "4"
#: Seconds that a browser may remember the answer to a preflight.
PREFLIGHT_AGE = 600

NO_PLACE = "The server is full or restarting, or your address has too many connections; try again later."

EngineOf = Callable[[ChatService], Engine]


def add_routes(blueprint: Blueprint | Flask, path: str, engine_of: EngineOf, name: str) -> None:
    """Serve Engine.IO at `path`, with and without a slash at its end; `name` begins the endpoints' names."""
    routes = Routes(engine_of)
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

    def __init__(self, engine_of: EngineOf) -> None:
        self._engine_of = engine_of

    # ---- long-polling ----------------------------------------------------------------------------------------

    def http(self) -> Response:
        """Serve one request of a polling client."""
        chat: ChatService = current_app.extensions["chat"]
        try:
            if not _origin_allowed(request, chat):
                raise BadRequest(*engines.FORBIDDEN)
            response = self._preflight() if request.method == "OPTIONS" else self._serve(chat)
        except BadRequest as bad:
            status = 403 if bad.code == engines.FORBIDDEN[0] else 400
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
            raise BadRequest(*engines.BAD_REQUEST)
        sid = request.args.get("sid")
        engine = self._engine(chat)
        if sid is None:
            return self._open(chat, engine)
        holder = _holder(chat, engine, sid)
        if request.method == "POST":
            return self._post(chat, engine, sid, holder)
        if request.method != "GET":
            raise BadRequest(*engines.BAD_METHOD)
        return _text(holder.poll())

    def _engine(self, chat: ChatService) -> Engine:
        return self._engine_of(chat)

    def _open(self, chat: ChatService, engine: Engine) -> Response:
        if request.method != "GET":
            raise BadRequest(*engines.BAD_METHOD)
        if not engine.has_place(request.remote_addr or ""):
            return Response(NO_PLACE + "\n", 503, {"Retry-After": "5"}, mimetype="text/plain")
        if engine.neighbours is not None and _is_one_of_several(chat):
            engine.neighbours.begin()
        return _text(engine.hub.reactor.ask(engine.open_polling, visitor(request)))

    def _post(self, chat: ChatService, engine: Engine, sid: str, holder: SessionHandle) -> Response:
        limit = chat.settings.max_message_bytes
        if sid in engine.posting:
            holder.refuse()
            raise BadRequest(*engines.BAD_REQUEST)
        engine.posting.add(sid)
        try:
            # Of a body in chunks werkzeug would hand out as much as it may have, and keep silent about the rest.
            request.max_content_length = limit + 1
            if (request.content_length or 0) > limit or len(body := request.get_data()) > limit:
                holder.refuse()
                return Response("The payload is too large.\n", 413, mimetype="text/plain")
            holder.post(body)
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
        if request.environ.get("SERVER_SOFTWARE", "").startswith("gevent/"):
            redact_pywsgi()
        try:
            if not _origin_allowed(request, chat):
                raise BadRequest(*engines.FORBIDDEN)
            _check_workers(request, chat)
            _check_query(request, chat)
            if request.args.get("transport") != WEBSOCKET:
                raise BadRequest(*engines.BAD_REQUEST)
            engine, sid = self._engine(chat), request.args.get("sid")
            if sid is not None:
                _holder(chat, engine, sid).find()
        except BadRequest as bad:
            status = 403 if bad.code == engines.FORBIDDEN[0] else 400
            raise RefusedUpgrade(
                status, orjson.dumps({"code": bad.code, "message": bad.message}).decode()
            ) from None
        if sid is None and not engine.has_place(request.remote_addr or ""):
            raise RefusedUpgrade(503, NO_PLACE, {"Retry-After": "5"})

    def socket(self, taken: Taken) -> None:
        """Give a parked socket to its session, or a session to it."""
        chat: ChatService = current_app.extensions["chat"]
        engine = self._engine(chat)
        sid = request.args.get("sid")
        if sid is None:
            engine.hub.reactor.call(engine.open_websocket, taken, visitor(request))
        else:
            _holder(chat, engine, sid).probe(taken)


def socketio_engine(chat: ChatService) -> Engine:
    """Return the engine that Socket.IO stands on, in this process."""
    return chat.start().io_engine


def add_engine_echo(app: Flask, path: str) -> None:
    """Serve a bare Engine.IO at `path` which says every message back: for the protocol's own test suite."""
    made: dict[int, Engine] = {}

    def engine_of(chat: ChatService) -> Engine:
        runtime = chat.start()
        if runtime.pid not in made:
            made[runtime.pid] = Engine(runtime.hub, chat.settings, Echo())
        return made[runtime.pid]

    add_routes(app, path, engine_of, "engine_echo")


def visitor(request: Request) -> Visitor:
    """Return what the request that opens a session tells of its client."""
    args = request.args
    language = best_language(args.get("lang"), request.headers.get("Accept-Language", ""))
    diff, lobby = args.get("roster") == "diff", args.get("lobby") != "0"
    return Visitor(request.remote_addr or "", language, args.get("token", ""), diff, lobby)


def _check_query(request: Request, chat: ChatService) -> None:
    transport = request.args.get("transport")
    if transport not in chat.settings.io_transports:
        raise BadRequest(*engines.UNKNOWN_TRANSPORT)
    if request.args.get("EIO") != VERSION:
        raise BadRequest(*engines.BAD_VERSION)


def _check_workers(request: Request, chat: ChatService) -> None:
    """Let nobody into a chat of which each worker has its own; a site's own events may do with that."""
    if is_isolated_worker(request.environ, chat.settings.redis_url) and chat.settings.io_chat_namespace:
        log.error(SEVERAL_WORKERS)
        raise BadRequest(*engines.BAD_REQUEST)


def _holder(chat: ChatService, engine: Engine, sid: str) -> SessionHandle:
    if engine.neighbours is not None and _is_one_of_several(chat):
        return engine.neighbours.holder(sid)
    return LocalSession(engine, sid)


def _is_one_of_several(chat: ChatService) -> bool:
    return bool(request.environ.get("wsgi.multiprocess") or chat.settings.redis_url)


def _origin_allowed(request: Request, chat: ChatService) -> bool:
    return origin_allowed(request.headers.get("Origin"), request.host, chat.settings.allowed_origins)


def _text(payload: bytes) -> Response:
    return Response(payload, content_type="text/plain; charset=UTF-8")


def _json(message: dict[str, Any], status: int) -> Response:
    return Response(orjson.dumps(message), status, mimetype="application/json")
