"""A site whose own users may have names that differ only in case: GET /as/ID logs in, and leads to the chat."""

import os

from flask import Flask, redirect, session, url_for

from chat import Chat, Identity

USERS = {"1": "Ann", "2": "Bob", "3": "bob"}


def create_app():
    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ.get("SECRET_KEY", "s" * 32)
    Chat(app, identity_loader=_current_user)

    @app.get("/as/<user_id>")
    def log_in(user_id):
        session["user"] = user_id
        return redirect(url_for("chat.page"))

    return app


def _current_user():
    user_id = session.get("user")
    return Identity(user_id, USERS[user_id]) if user_id else None
