"""The extension's pages and JSON: the chat page, socket tokens, health, and the socket route itself."""

from __future__ import annotations

import logging
from typing import Any

from flask import (
    Blueprint,
    Flask,
    Request,
    Response,
    abort,
    current_app,
    jsonify,
    redirect,
    render_template,
    request,
    url_for,
)
from markupsafe import Markup

from .. import i18n
from ..identity.guard import Grant, now_ms, origin_allowed
from ..rooms.client import Taken
from ..rooms.hub import LOBBY
from ..service import ChatService
from ..wire.envelope import Identity
from ..wire.errors import FAILURES, ChatError
from . import api, socketio_routes
from .metrics import make_registry
from .metrics import serve as serve_metrics
from .metrics import show as show_metrics
from .page_strings import page_strings
from .redaction import redact_pywsgi
from .sockets import MULTIPROCESS, Parked, ParkingSock, RefusedUpgrade, is_apart

log = logging.getLogger("chat")

#: Query options that only extended clients know.
_EXTENSIONS = frozenset(("roster", "lang", "lobby"))
#: Sockets beyond the limit that may exist at once, just to be told that the place is full.
DOORMAT = 100


def make_blueprint(url_prefix: str) -> Blueprint:
    """Return the blueprint `chat`, made anew for each app."""
    blueprint = Blueprint(
        "chat",
        __name__.partition(".")[0],  # the package, in whose folder templates and static files lie
        url_prefix=url_prefix or None,
        template_folder="templates",
        static_folder="static",
        static_url_path="/chat/static",
    )
    blueprint.add_url_rule("/chat", "page", page)
    blueprint.add_url_rule("/chat/token", "token", token, methods=["POST"])
    api.add_routes(blueprint)
    blueprint.add_url_rule("/healthz", "healthz", healthz)
    blueprint.add_url_rule("/metrics", "metrics", metrics)
    blueprint.add_url_rule("/ws/chat", "not_a_socket", not_a_socket)
    ParkingSock().route("/ws/chat", blueprint, check_socket, endpoint="socket")(open_socket)
    blueprint.after_request(secure)
    return blueprint


def service() -> ChatService:
    """Return the chat of the current app."""
    return current_app.extensions["chat"]


# ---- the socket ------------------------------------------------------------------------------------------------


def check_socket(request: Request) -> None:
    """Raise RefusedUpgrade for a request that must not become a socket of ours."""
    chat = service()
    if request.environ.get("SERVER_SOFTWARE", "").startswith("gevent/"):
        redact_pywsgi()
    if is_apart(request.environ, chat.settings.redis_url):
        log.error(MULTIPROCESS)
        raise RefusedUpgrade(503, MULTIPROCESS)
    if not origin_allowed(request.headers.get("Origin"), request.host, chat.settings.allowed_origins):
        raise RefusedUpgrade(
            403, "Pages of that origin may not connect; CHAT_ALLOWED_ORIGINS says which may."
        )
    hub = chat.start().hub
    if hub.draining:
        raise RefusedUpgrade(503, "The server is restarting.", {"Retry-After": "1"})
    if len(hub.reactor) >= hub.limit + DOORMAT:
        raise RefusedUpgrade(503, FAILURES["server_full"].en, {"Retry-After": "30"})


def open_socket(taken: Taken) -> None:
    """Let the client of a parked socket in, or have it told why not."""
    chat = service()
    verdict: Grant | ChatError
    try:
        verdict = chat.guard.check(request.args.get("token", ""))
        if chat.load_claims is not None:
            chat.remember(verdict.identity)
    except ChatError as error:
        verdict = error
    chat.start().enter(
        taken,
        verdict,
        request.path,
        address=request.remote_addr or "",
        language=_language(),
        lobby=request.args.get("lobby") != "0",
        diff=request.args.get("roster") == "diff",
        extended=not _EXTENSIONS.isdisjoint(request.args),
    )


def _language() -> str:
    return i18n.best_language(request.args.get("lang"), request.headers.get("Accept-Language", ""))


def not_a_socket() -> Response:
    """Answer an ordinary request for the socket's address."""
    return Response(
        "This address speaks WebSocket.\n",
        426,
        {"Upgrade": "websocket", "Connection": "Upgrade"},
        mimetype="text/plain",
    )


# ---- pages -----------------------------------------------------------------------------------------------------


def page() -> Any:
    """The chat page, for whoever is logged in to the site."""
    identity = service().current_identity()
    if identity is None:
        return _ask_to_log_in()
    response = Response(
        render_template("chat/page.html", identity=identity, chat_config=page_config(identity))
    )
    response.headers["Cache-Control"] = "no-store"
    return response


def page_config(identity: Identity) -> dict[str, Any]:
    """Return what the page's scripts need to know; it goes into the page as JSON."""
    settings = service().settings
    return {
        # Of the two routes at this address the socket's own would come out with scheme and host, wrong behind a proxy.
        "socketPath": url_for("chat.not_a_socket"),
        "tokenPath": url_for("chat.token"),
        "pagePath": url_for("chat.page"),
        "apiPath": f"{url_for('chat.page')}/api",
        "loginPath": _login_path(),
        "user": identity._asdict(),
        "room": LOBBY,
        "maxChars": settings.max_message_chars,
        "maxRooms": settings.max_rooms_per_client,
        "createRooms": settings.create_rooms,
        "locale": i18n.language(),
        "strings": page_strings(),
    }


def chat_widget() -> Markup:
    """Return the chat as a panel for any page; empty for whoever is not logged in, and on the chat page itself."""
    identity = service().current_identity()
    if identity is None or request.endpoint == "chat.page":
        return Markup()
    return Markup(render_template("chat/widget.html", identity=identity, chat_config=page_config(identity)))


def _login_path() -> str:
    endpoint = _login_endpoint()
    return url_for(endpoint) if endpoint else "/"


def _login_endpoint() -> str | None:
    manager = getattr(current_app, "login_manager", None)
    for endpoint in (service().settings.login_endpoint, getattr(manager, "login_view", None)):
        if endpoint and endpoint in current_app.view_functions:
            return endpoint
    return None


def _ask_to_log_in() -> Any:
    endpoint = _login_endpoint()
    if endpoint is None:
        return Response("Log in to the site first.\n", 401, mimetype="text/plain")
    return redirect(url_for(endpoint, next=request.full_path.rstrip("?")))


# ---- JSON ------------------------------------------------------------------------------------------------------


def token() -> tuple[Response, int]:
    """Give the page of a logged-in user a token for its socket; for the site's own pages only."""
    if not _same_origin():
        return jsonify(error="This address serves the site's own pages only.", code="foreign_origin"), 403
    chat = service()
    identity = chat.current_identity()
    if identity is None:
        return jsonify(error="Log in to the site first.", code="not_logged_in"), 401
    if chat.guard.is_banned(identity.id):
        return jsonify(error=FAILURES["banned"].sentence(_language()), code="banned"), 403
    chat.remember(identity)
    ttl = chat.settings.token_ttl
    body = jsonify(token=chat.token_for(identity), expires_in=ttl, expires_at=now_ms() + ttl * 1000)
    body.headers["Cache-Control"] = "no-store"
    return body, 200


def _same_origin() -> bool:
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
        return False
    return origin_allowed(request.headers.get("Origin"), request.host, ())


def healthz() -> tuple[Response, int]:
    """Tell a load balancer whether this worker can serve sockets."""
    runtime = service().runtime
    if runtime is None:
        return jsonify(status="ok", connections=0, broker="none"), 200
    status = "draining" if runtime.hub.draining else "stalled" if runtime.hub.reactor.stalled() else "ok"
    answer = jsonify(status=status, connections=len(runtime.hub), broker=runtime.broker_state)
    return answer, 200 if status == "ok" else 503


def metrics() -> Response:
    """Show the chat's numbers to Prometheus, where CHAT_METRICS says so."""
    if not service().settings.metrics:
        abort(404)
    numbers = show_metrics(make_registry(service()))
    return Response(numbers, mimetype="text/plain", headers={"Cache-Control": "no-store"})


def secure(response: Response) -> Response:
    """Put the security headers on the chat's own views, where the site has not set its own."""
    if isinstance(response, Parked):
        return response
    headers = response.headers
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "no-referrer")
    if response.mimetype == "text/html":
        headers.setdefault("Content-Security-Policy", service().settings.content_security_policy or _policy())
    return response


def _policy() -> str:
    host = request.host
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        f"connect-src 'self' ws://{host} wss://{host}; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'self'"
    )


def register(app: Flask, url_prefix: str) -> None:
    """Put the chat's routes, templates and words on `app`."""
    blueprint = make_blueprint(url_prefix)
    chat: ChatService = app.extensions["chat"]
    settings = chat.settings
    if settings.io:
        socketio_routes.add_routes(blueprint, settings.io_path, socketio_routes.socketio_engine, "io")
    if settings.metrics_port:
        chat.before_start.append(lambda: serve_metrics(make_registry(chat), settings.metrics_port))
    app.register_blueprint(blueprint)
    _exempt_from_csrf(app)
    i18n.init(app)
    app.jinja_env.globals["chat_widget"] = chat_widget


def _exempt_from_csrf(app: Flask) -> None:
    """Keep Flask-WTF's CSRFProtect from the token view, which asks for the page's own origin and has no form."""

    def exempt() -> None:
        csrf = app.extensions.get("csrf")
        if csrf is not None:
            csrf.exempt(app.blueprints["chat"])

    exempt()
    if "csrf" not in app.extensions:
        # The site may set it up after us; its check then comes after this one in every request.
        app.before_request(exempt)
