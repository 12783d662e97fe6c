"""/ws/chat: checks a handshake, and hands the socket and its user to the runtime."""

from __future__ import annotations

import logging
import math

from flask import Request, Response, request

from ..config import SEVERAL_WORKERS
from ..identity.guard import Grant, origin_allowed
from ..identity.networks import network_of
from ..rooms.client import Taken
from ..service import ChatService
from ..wire.errors import FAILURES, ChatError
from .context import language, service
from .sockets import RefusedUpgrade, is_isolated_worker

log = logging.getLogger("flask_chat")

#: Query parameters that only extended clients send.
EXTENDED_PARAMETERS = frozenset(("roster", "lang", "lobby"))
#: Sockets accepted above the connection limit, only to be closed with the error `server_full`.
EXCESS_SOCKETS = 100


def check_socket(request: Request) -> None:
    """Raise RefusedUpgrade for a request that must not become a chat socket."""
    chat = service()
    check_connect_rate(chat, request)
    if is_isolated_worker(request.environ, chat.settings.redis_url):
        log.error(SEVERAL_WORKERS)
        raise RefusedUpgrade(503, SEVERAL_WORKERS)
    if not origin_allowed(request.headers.get("Origin"), request.host, chat.settings.allowed_origins):
        raise RefusedUpgrade(
            403, "Pages of that origin may not connect; CHAT_ALLOWED_ORIGINS says which may."
        )
    runtime = chat.start()
    hub = runtime.hub
    if hub.draining:
        raise RefusedUpgrade(503, "The server is restarting.", {"Retry-After": "1"})
    if len(hub.reactor) + runtime.admission.waiting >= hub.limit + EXCESS_SOCKETS:
        raise RefusedUpgrade(503, FAILURES["server_full"].en, {"Retry-After": "30"})


def check_connect_rate(chat: ChatService, request: Request) -> None:
    """Raise RefusedUpgrade where a client's address opens connections too fast: CHAT_MAX_CONNECTIONS_PER_IP."""
    try:
        chat.connects.count(network_of(request.remote_addr or ""))
    except ChatError as error:
        wait = {"Retry-After": str(math.ceil(error.retry_after or 1))}
        raise RefusedUpgrade(429, FAILURES[error.code].en, wait) from None


def open_socket(taken: Taken) -> None:
    """Hand a parked socket to the runtime, with the user of its token or the error that refuses it."""
    chat = service()
    verdict: Grant | ChatError
    try:
        verdict = chat.guard.check(request.args.get("token", ""))
        if chat.load_claims is not None:
            chat.identities.ensure_users(verdict.identity)
    except ChatError as error:
        verdict = error
    chat.start().admission.admit(
        taken,
        verdict,
        request.path,
        address=request.remote_addr or "",
        language=language(),
        lobby=request.args.get("lobby") != "0",
        diff=request.args.get("roster") == "diff",
        extended=not EXTENDED_PARAMETERS.isdisjoint(request.args),
    )


def not_a_socket() -> Response:
    """Answer a request without an upgrade at the socket's address with 426."""
    return Response(
        "This address speaks WebSocket.\n",
        426,
        {"Upgrade": "websocket", "Connection": "Upgrade"},
        mimetype="text/plain",
    )
