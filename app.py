"""The reference site: register, log in, chat. `create_app()` builds it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

import accounts
from chat import Chat

#: Maximum bytes of a request's body; the site accepts forms and small JSON. A form of 256 KB may have so many fields
#: that all others wait for 0.2 s.
MAX_CONTENT_LENGTH = 16 * 1024


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Create the site; `config` takes precedence over the environment, and that over the defaults."""
    app = Flask(__name__)
    app.config.from_mapping(MAX_CONTENT_LENGTH=MAX_CONTENT_LENGTH, CHAT_ROOT_HEALTH=True)
    app.config.update(config or {})
    if not app.config["SECRET_KEY"]:
        app.config["SECRET_KEY"] = os.environ.get("SECRET_KEY") or stored_secret(Path(app.instance_path))
    chat = Chat(app)
    accounts.init_app(app, chat)
    trust_proxies(app, chat)
    return app


def trust_proxies(app: Flask, chat: Chat) -> None:
    """Trust CHAT_TRUSTED_PROXIES proxies for the client's address, scheme and host; by default none."""
    with app.app_context():
        count = chat.service.settings.trusted_proxies
    if count:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=count, x_port=count)  # type: ignore[method-assign]


def stored_secret(folder: Path) -> str:
    """Return the secret stored in `folder`, creating it first; processes that start together agree on one."""
    path = folder / "secret_key"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f"secret_key.{secrets.token_hex(8)}"
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
        try:
            os.link(draft, path)  # atomic, and fails if another process was first
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text()
