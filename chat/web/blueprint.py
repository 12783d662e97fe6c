"""The chat's blueprint: its routes, and what registering it changes on the site's app."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Flask, Response

from .. import i18n
from ..config import Settings
from ..service import ChatService
from . import api, collisions, socketio_routes
from .assets import Assets
from .headers import with_security_headers
from .health import healthz, metrics, prepare_metrics
from .pages import chat_widget, page, script_json
from .redaction import redact_pywsgi
from .refusals import RefusalLog
from .socket_route import check_socket, not_a_socket, open_socket
from .sockets import ParkingSock
from .tokens import token
from .urls import chat_url

ROOT = __name__.partition(".")[0]  # the package that contains templates and static files


class ChatBlueprint(Blueprint):
    """A blueprint whose views send the chat's security headers."""

    def add_url_rule(
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: Callable[..., Any] | None = None,
        provide_automatic_options: bool | None = None,
        **options: Any,
    ) -> None:
        """Serve `view_func` at `rule`, with the security headers."""
        secured = view_func and with_security_headers(view_func)
        super().add_url_rule(rule, endpoint, secured, provide_automatic_options, **options)

    def send_static_file(self, filename: str) -> Response:
        """Serve one of the files in static/, whose rule Flask adds by itself."""
        return with_security_headers(super().send_static_file)(filename)


def make_blueprint(name: str, url_prefix: str, assets: Assets, settings: Settings) -> Blueprint:
    """Return a new blueprint of that name, for one app."""
    blueprint = ChatBlueprint(
        name,
        ROOT,
        url_prefix=url_prefix or None,
        template_folder="templates",
        static_folder="static",
        static_url_path="/chat/static",
    )
    blueprint.add_url_rule("/chat/static/dist/<name>", "asset", assets.serve)
    blueprint.add_url_rule("/chat", "page", page)
    blueprint.add_url_rule("/chat/token", "token", token, methods=["POST"])
    api.add_routes(blueprint, settings)
    blueprint.add_url_rule("/chat/healthz", "healthz", healthz)
    blueprint.add_url_rule("/chat/metrics", "metrics", metrics)
    blueprint.add_url_rule("/ws/chat", "not_a_socket", not_a_socket)
    ParkingSock().route("/ws/chat", blueprint, check_socket, endpoint="socket")(open_socket)
    blueprint.after_request(RefusalLog(name).look)
    # Not before_request: where a before_request of the site answers, those of the blueprint are not called.
    blueprint.url_value_preprocessor(redact_pywsgi)
    return blueprint


def register(app: Flask, url_prefix: str) -> None:
    """Add the chat's routes, templates and template functions to `app`; raise ConfigError where the site has the same.

    Everything that this adds to the app has the blueprint's name, or a name that begins with `chat_`.
    """
    chat: ChatService = app.extensions["chat"]
    settings = chat.settings
    collisions.check_name(app, chat.name)
    assets = Assets(settings.assets)
    blueprint = make_blueprint(chat.name, url_prefix, assets, settings)
    if settings.io:
        socketio_routes.add_routes(blueprint, settings.io_path, socketio_routes.socketio_endpoint, "io")
    prepare_metrics(chat)
    _exempt_from_csrf(app, blueprint)
    _log_late_collisions(app, chat, blueprint)
    app.register_blueprint(blueprint)
    if settings.root_health:
        for view in (healthz, metrics):
            app.add_url_rule(
                f"/{view.__name__}", f"{chat.name}.root_{view.__name__}", with_security_headers(view)
            )
    collisions.check_rules(app, chat.name)
    _add_template_functions(app, assets)


def _add_template_functions(app: Flask, assets: Assets) -> None:
    app.jinja_env.globals.update(
        chat_asset=assets.url,
        chat_gettext=i18n.gettext,
        chat_language=i18n.language,
        chat_other_language=i18n.other_language,
        chat_url=chat_url,
        chat_widget=chat_widget,
    )
    app.jinja_env.filters["chat_json"] = script_json


def _log_late_collisions(app: Flask, chat: ChatService, blueprint: Blueprint) -> None:
    late = collisions.LateCollisions(app, chat.name)
    chat.before_start.append(late.at_start)
    blueprint.before_request(late.at_start)


def _exempt_from_csrf(app: Flask, blueprint: Blueprint) -> None:
    """Exempt the token view from Flask-WTF's CSRFProtect: it checks the request's origin and has no form.

    The site may set CSRFProtect up after the chat. A URL preprocessor of the blueprint runs before the site's
    before_request functions, of which CSRFProtect's check is one, and for requests to the chat alone.
    """

    def exempt(*_: Any) -> None:
        csrf = app.extensions.get("csrf")
        if csrf is not None:
            csrf.exempt(blueprint)

    blueprint.url_value_preprocessor(exempt)
