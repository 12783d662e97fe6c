"""`POST /api/login`: a token for clients that are not pages."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, current_app, jsonify, request
from flask_babel import gettext as _

from .service import Banned, TooManyAttempts, WrongCredentials


def make_blueprint() -> Blueprint:
    """Return the blueprint `api`."""
    blueprint = Blueprint("api", __name__, url_prefix="/api")
    blueprint.add_url_rule("/login", "login", login, methods=["POST"])
    return blueprint


def login() -> Response:
    """Answer `{username, password}` with `{token, token_type, expires_in, user}`; uses no session and no CSRF token."""
    credentials = _credentials()
    if credentials is None:
        return failure(400, "bad_request", _("Send a JSON object with the strings username and password."))
    try:
        user = current_app.extensions["accounts"].authenticate(*credentials, request.remote_addr or "")
    except TooManyAttempts as error:
        response = failure(
            429, error.code, _("Too many attempts. Try again in %(count)d seconds.", count=error.retry_after)
        )
        response.headers["Retry-After"] = str(error.retry_after)
        return response
    except WrongCredentials as error:
        return failure(401, error.code, _("Wrong name or password."))
    except Banned as error:
        return failure(403, error.code, _("This account has been disabled."))
    chat = current_app.extensions["chat"]
    response = jsonify(
        token=chat.token_for(user.identity),
        token_type="Bearer",
        expires_in=chat.settings.token_ttl,
        user=user.identity._asdict(),
    )
    response.headers["Cache-Control"] = "no-store"
    return response


def failure(status: int, code: str, sentence: str) -> Response:
    """Return an error as JSON: a code for programs, a sentence for people."""
    response = jsonify(error=sentence, code=code)
    response.status_code = status
    return response


def _credentials() -> tuple[str, str] | None:
    try:
        body: Any = request.get_json(silent=True)
    except RecursionError:  # a hundred thousand brackets
        return None
    if not isinstance(body, dict):
        return None
    username, password = body.get("username"), body.get("password")
    return (username, password) if isinstance(username, str) and isinstance(password, str) else None
