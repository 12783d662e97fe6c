"""The Quarry Hill Hiking Club: its members, its walks and, since this spring, its chat."""

from pathlib import Path

from flask import Flask
from flask_chat import Chat, Identity
from flask_login import current_user
from flask_wtf.csrf import CSRFProtect

from . import db, members, walks


def chat_identity():
    return Identity(current_user.id, current_user.nickname) if current_user.is_authenticated else None


def create_app():
    app = Flask(__name__, instance_path=Path(__file__).resolve().parent / "instance")
    app.config.from_mapping(SECRET_KEY="hiking", DATABASE=Path(app.instance_path, "club.db"))
    app.config.from_prefixed_env("CLUB")

    CSRFProtect(app)
    db.init_app(app)
    members.init_app(app)
    app.register_blueprint(walks.blueprint)

    # The chat is five lines: its import, chat_identity, this one, and that with chat_widget() in templates/base.html.
    Chat(app, url_prefix="/talk", identity_loader=chat_identity)
    return app
