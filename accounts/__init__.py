"""The accounts of the reference site: register, log in, log out, change the password, delete the account.

It uses the chat as any site would. A site with its own users does not need this package.
"""

from __future__ import annotations

from flask import Flask
from flask_babel import Babel
from flask_wtf.csrf import generate_csrf

from chat import Chat
from chat.web.redaction import redact_pywsgi

from . import api, errors, headers, languages, reset_links, sessions, views
from .service import AccountService, MakeThrottle
from .throttle import Throttle

__all__ = ["init_app"]


def init_app(app: Flask, chat: Chat) -> None:
    """Add the account pages and `POST /api/login` to `app`, whose chat is `chat`."""
    app.extensions["accounts"] = AccountService(chat, _throttles(app))
    sessions.init(app)
    chat.reset_link(reset_links.make)
    Babel(app, locale_selector=languages.select)
    app.register_blueprint(views.make_blueprint())
    app.register_blueprint(api.make_blueprint())
    app.jinja_env.globals["csrf_token"] = generate_csrf
    app.after_request(headers.secure)
    app.url_value_preprocessor(redact_pywsgi)
    errors.init(app)


def _throttles(app: Flask) -> MakeThrottle:
    """Return a function that makes throttles: per process, or shared by all workers if CHAT_REDIS_URL is set."""
    settings = app.extensions["chat"].settings
    if not settings.redis_url:
        return lambda name, limit, seconds: Throttle(limit, seconds)
    from .shared_throttle import SharedThrottle, connect

    client = connect(settings.redis_url)
    return lambda name, limit, seconds: SharedThrottle(
        limit, seconds, client, f"{settings.redis_prefix}:throttle:{name}"
    )
