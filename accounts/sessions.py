"""Who is logged in: Flask-Login's session, renewed at log-in, ended wherever the user's tokens end.

A cookie cannot be taken back: a tab that asks for a token while another logs out still sends the old one. So a session
counts only while it is younger than the user's tokens_valid_after, which log-out, a new password, kick and ban move.
"""

from __future__ import annotations

import time

from flask import Flask, current_app, request, session
from flask.sessions import SecureCookieSessionInterface
from flask_login import LoginManager, UserMixin, login_user, logout_user

from chat import User

#: When the session began, in ms since 1970.
_SINCE = "since"
#: What of a visitor's session outlives a log-in or a log-out.
_KEPT = ("lang",)


class Member(UserMixin):
    """A logged-in user, as Flask-Login and the chat want one: `get_id()` and `username`."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.id = user.id
        self.username = user.username


class Sessions(SecureCookieSessionInterface):
    """Cookie sessions whose cookie is Secure on HTTPS, whether that ends here or at a trusted proxy."""

    def get_cookie_secure(self, app: Flask) -> bool:
        """Tell whether the cookie that is about to be set needs HTTPS."""
        return request.is_secure or app.config["SESSION_COOKIE_SECURE"]


def init(app: Flask) -> None:
    """Give `app` its sessions."""
    app.session_interface = Sessions()
    # Or an answer under way during a log-out would set the old cookie once more.
    app.config["SESSION_REFRESH_EACH_REQUEST"] = False
    if app.config["SESSION_COOKIE_SAMESITE"] is None:
        app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
    manager = LoginManager(app)
    manager.login_view = "accounts.login"
    manager.login_message = None
    manager.user_loader(load)


def load(user_id: str) -> Member | None:
    """Return who the session belongs to; None once deleted, banned, or logged out, anywhere, since it began."""
    user = current_app.extensions["chat"].users.get(user_id)
    if user is None or user.banned or session.get(_SINCE, 0) < user.tokens_valid_after:
        return None
    return Member(user)


def log_in(user: User) -> None:
    """Begin a new session for `user`; nothing of the old one but the language is left in it."""
    _renew()
    session.permanent = True
    session[_SINCE] = time.time_ns() // 1_000_000
    login_user(Member(user))


def log_out() -> None:
    """End the session."""
    logout_user()
    _renew()


def _renew() -> None:
    kept = {key: session[key] for key in _KEPT if key in session}
    session.clear()
    session.update(kept)
