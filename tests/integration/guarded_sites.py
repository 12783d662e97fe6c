"""Sites that protect every POST in the ways of common extensions, each as one app: `create_app(kind)`.

The chat's page and widget must get their token through each of them. The protections read the same cookies and headers
as the extensions that they stand for.
"""

import hmac
import os
import secrets

from flask import Flask, abort, jsonify, redirect, render_template_string, request, session

from chat import Chat, Identity

#: What a page of the site has in its head, and the widget.
PAGE = "<!doctype html><title>Site</title>{{ head|safe }}<h1>Site</h1>{{ chat_widget() }}"


def seasurf(app, chat):
    """Flask-SeaSurf: the session's token must come back in X-CSRFToken; a readable cookie holds it."""

    @app.before_request
    def check():
        token = session.setdefault("_csrf_token", secrets.token_hex(16))
        if request.method == "POST" and not _equal(request.headers.get("X-CSRFToken"), token):
            abort(403)

    @app.after_request
    def set_cookie(response):
        response.set_cookie("_csrf_token", session["_csrf_token"])
        return response


def jwt_cookies(app, chat):
    """Flask-JWT-Extended in cookies: X-CSRF-TOKEN must repeat the cookie csrf_access_token."""

    @app.before_request
    def check():
        cookie = request.cookies.get("csrf_access_token")
        if request.method == "POST" and not _equal(request.headers.get("X-CSRF-TOKEN"), cookie):
            return jsonify(msg="Missing CSRF token"), 401
        return None

    @app.after_request
    def set_cookie(response):
        if "csrf_access_token" not in request.cookies:
            response.set_cookie("csrf_access_token", secrets.token_hex(16))
        return response


def meta(app, chat):
    """A protection that reads what Flask-WTF's documentation has pages send: the meta element's token."""
    app.config["HEAD"] = '<meta name="csrf-token" content="from the meta element">'
    _demand(app, "X-CSRFToken", "from the meta element")


def hook(app, chat):
    """A protection of the site's own, for which the chat has a hook."""
    _demand(app, "X-Club-Proof", "rope")

    @chat.token_headers
    def proof():
        return {"X-Club-Proof": "rope"}


def unknown(app, chat):
    """A protection of the site's own, of which the chat has not been told."""
    _demand(app, "X-Club-Proof", "rope")


def redirecting(app, chat):
    """A before_request function that redirects users who have not agreed to something."""

    @app.before_request
    def gate():
        if request.method == "POST" and not app.config.get("OPEN"):
            return redirect("/log-in")
        return None


def page_instead(app, chat):
    """A before_request function that answers with a page and status 200."""
    app.before_request(lambda: "<h1>Please log in</h1>" if request.method == "POST" else None)


def _demand(app, header, value):
    @app.before_request
    def check():
        if request.method == "POST" and not app.config.get("OPEN") and request.headers.get(header) != value:
            abort(403)


def _equal(given, expected):
    return bool(given and expected) and hmac.compare_digest(given, expected)


def create_app(kind):
    """A site under protection `kind`; GET /open lifts it."""
    app = Flask(__name__)
    app.config.update(SECRET_KEY=os.environ.get("SECRET_KEY", "s" * 32), HEAD="")
    chat = Chat(app, identity_loader=lambda: Identity("1", "Ann"))
    app.add_url_rule("/", "home", lambda: render_template_string(PAGE, head=app.config["HEAD"]))
    app.add_url_rule("/log-in", "login", lambda: "<h1>Log in here</h1>")
    app.add_url_rule("/open", "open", lambda: app.config.update(OPEN=True) or "open")
    globals()[kind](app, chat)
    return app
