"""The log-in session: Flask-Login's, renewed at log-in, and ended together with the user's tokens.

The server cannot revoke a cookie: a tab that requests a token while another tab logs out still sends the old cookie.
So a session is valid only while the chat's list of log-in sessions has it as open, and if it began after the user's
tokens_valid_after, which a log-out everywhere, a new password, kick and ban set.
"""

from __future__ import annotations

import time

from flask import Flask, current_app, request, session
from flask.sessions import SecureCookieSessionInterface
from flask_login import LoginManager, UserMixin, login_user, logout_user

from chat import User

#: When the session began, in ms since 1970.
_SINCE = "since"
#: The session keys that survive a log-in or log-out.
_KEPT = ("lang",)


class Member(UserMixin):
    """A logged-in user with what Flask-Login and the chat need: `get_id()` and `username`."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.id = user.id
        self.username = user.username


class Sessions(SecureCookieSessionInterface):
    """Cookie sessions whose cookie is Secure on HTTPS, terminated here or at a trusted proxy."""

    def get_cookie_secure(self, app: Flask) -> bool:
        """Tell whether the cookie must be Secure."""
        return request.is_secure or app.config["SESSION_COOKIE_SECURE"]


def init(app: Flask) -> None:
    """Set up the sessions of `app`."""
    app.session_interface = Sessions()
    # Otherwise a response in progress during a log-out would set the old cookie again.
    app.config["SESSION_REFRESH_EACH_REQUEST"] = False
    if app.config["SESSION_COOKIE_SAMESITE"] is None:
        app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
    manager = LoginManager(app)
    manager.login_view = "accounts.login"
    manager.login_message = None
    manager.user_loader(load)


def load(user_id: str) -> Member | None:
    """Return the session's user; None if deleted, banned, logged out, or from before sessions were listed."""
    chat = current_app.extensions["chat"]
    user = chat.users.get(user_id)
    if user is None or user.banned or session.get(_SINCE, 0) < user.tokens_valid_after:
        return None
    return Member(user) if chat.log_ins.is_open() else None


def log_in(user: User) -> None:
    """Begin a new session for `user`; it keeps only the language of the old one."""
    _renew()
    session.permanent = True
    session[_SINCE] = _now_ms(user)
    current_app.extensions["chat"].log_ins.begin(user.identity)
    login_user(Member(user))


def _now_ms(user: User) -> int:
    """Return the time, or that of the user's last log-out where the clock was set back since."""
    now = time.time_ns() // 1_000_000
    stored = current_app.extensions["chat"].users.get(user.id)
    return max(now, stored.tokens_valid_after if stored is not None else 0)


def log_out() -> None:
    """End this session, its sockets and its tokens; the chat hears Flask-Login's signal."""
    logout_user()
    _renew()


def log_out_everywhere(user_id: str) -> None:
    """End all sessions of the user, this one too."""
    log_out()
    current_app.extensions["chat"].revoke(user_id)


def _renew() -> None:
    kept = {key: session[key] for key in _KEPT if key in session}
    session.clear()
    session.update(kept)
