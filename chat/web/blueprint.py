"""The blueprint `chat`: its routes, and what registering it changes on the site's app."""

from __future__ import annotations

from flask import Blueprint, Flask

from .. import i18n
from ..service import ChatService
from . import api, socketio_routes
from .assets import Assets
from .headers import add_security_headers
from .health import healthz, metrics, serve_metrics
from .pages import chat_widget, page, script_json
from .refusals import RefusalLog
from .socket_route import check_socket, not_a_socket, open_socket
from .sockets import ParkingSock
from .tokens import token


def make_blueprint(url_prefix: str, assets: Assets) -> Blueprint:
    """Return a new blueprint `chat`, for one app."""
    blueprint = Blueprint(
        "chat",
        __name__.partition(".")[0],  # the package that contains templates and static files
        url_prefix=url_prefix or None,
        template_folder="templates",
        static_folder="static",
        static_url_path="/chat/static",
    )
    blueprint.add_url_rule("/chat/static/dist/<name>", "asset", assets.serve)
    blueprint.add_url_rule("/chat", "page", page)
    blueprint.add_url_rule("/chat/token", "token", token, methods=["POST"])
    api.add_routes(blueprint)
    blueprint.add_url_rule("/healthz", "healthz", healthz)
    blueprint.add_url_rule("/metrics", "metrics", metrics)
    blueprint.add_url_rule("/ws/chat", "not_a_socket", not_a_socket)
    ParkingSock().route("/ws/chat", blueprint, check_socket, endpoint="socket")(open_socket)
    blueprint.after_request(add_security_headers)
    blueprint.after_request(RefusalLog().look)
    return blueprint


def register(app: Flask, url_prefix: str) -> None:
    """Add the chat's routes, templates and translations to `app`."""
    chat: ChatService = app.extensions["chat"]
    settings = chat.settings
    assets = Assets(settings.assets)
    blueprint = make_blueprint(url_prefix, assets)
    if settings.io:
        socketio_routes.add_routes(blueprint, settings.io_path, socketio_routes.socketio_endpoint, "io")
    if settings.metrics_port:
        chat.before_start.append(lambda: serve_metrics(chat))
    app.register_blueprint(blueprint)
    _exempt_from_csrf(app)
    i18n.init(app)
    app.jinja_env.globals.update(chat_widget=chat_widget, chat_asset=assets.url)
    app.jinja_env.filters["chat_json"] = script_json


def _exempt_from_csrf(app: Flask) -> None:
    """Exempt the token view from Flask-WTF's CSRFProtect: it checks the request's origin and has no form."""

    def exempt() -> None:
        csrf = app.extensions.get("csrf")
        if csrf is not None:
            csrf.exempt(app.blueprints["chat"])

    exempt()
    if "csrf" not in app.extensions:
        # The site may initialise it after the chat. Its check then runs after this one in every request.
        app.before_request(exempt)
