"""Finds what the site and the chat both serve: a blueprint, a command, a path.

Of two rules for one path, Werkzeug silently takes the one that was added first.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

from flask import Flask
from werkzeug.routing import Rule

from ..config import ConfigError

log = logging.getLogger("flask_chat")

_VARIABLE = re.compile(r"<[^>]*>")
#: Methods that Flask adds to rules by itself.
_ADDED = {"HEAD", "OPTIONS"}
#: What to do, by the beginning of the chat's endpoint.
_ADVICE = {
    "root_": "Set CHAT_ROOT_HEALTH to 0: the chat also has it below its own path.",
    "io": "Set CHAT_IO_PATH to another path, or CHAT_IO to 0 if no Socket.IO clients use the chat.",
    "": "Give the chat a path of its own, such as Chat(app, url_prefix='/talk').",
}


def check_name(app: Flask, name: str) -> None:
    """Raise ConfigError if the site has a blueprint or a command of that name, or if no blueprint may have it."""
    if not name or "." in name:
        raise ConfigError(
            f"The chat's name is {name!r}. Give it one without dots, such as Chat(app, name='talk')."
        )
    for kind, taken in (("blueprint", app.blueprints), ("command `flask …`", app.cli.commands)):
        if name in taken:
            raise ConfigError(
                f"The site already has a {kind} named {name!r}. Give the chat another name, such as "
                "Chat(app, name='talk')."
            )


def check_rules(app: Flask, name: str) -> None:
    """Raise ConfigError if a rule of the site and one of the chat `name` serve the same path."""
    sentence = next(_collisions(app, name), None)
    if sentence:
        raise ConfigError(sentence)


class LateCollisions:
    """Logs the rules that a site added after the chat and that can never be reached, or hide one of the chat's."""

    def __init__(self, app: Flask, name: str) -> None:
        self._app, self._name = app, name
        self._is_complete = False

    def at_start(self) -> None:
        """Log them once, with the first request or when the runtime starts; Flask allows no rules after that."""
        if not self._is_complete:
            self._is_complete = True
            for sentence in _collisions(self._app, self._name):
                log.error("%s", sentence)


def _collisions(app: Flask, name: str) -> Iterator[str]:
    """Yield a sentence for each pair of rules that serve the same path."""
    ours: dict[tuple[object, ...], list[Rule]] = {}
    others = []
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith(f"{name}."):
            ours.setdefault(_place(rule), []).append(rule)
        else:
            others.append(rule)
    yield from _socketio_middleware(app, name)
    for other in others:
        own = next((rule for rule in ours.get(_place(other), ()) if _share_methods(rule, other)), None)
        if own is not None:
            what = f"The site's endpoint {other.endpoint!r} and the chat's {own.endpoint!r} are both at {own.rule}."
            yield f"{what} {_advice(own.endpoint.removeprefix(f'{name}.'))}"


def _socketio_middleware(app: Flask, name: str) -> Iterator[str]:
    """Yield a sentence if Flask-SocketIO or python-socketio answers at the chat's path before the app is asked."""
    paths = {rule.rule for rule in app.url_map.iter_rules() if rule.endpoint == f"{name}.io"}
    middleware: object = app.wsgi_app
    seen = []
    while middleware is not None and middleware not in seen:
        seen.append(middleware)
        path = getattr(middleware, "engineio_path", "")
        if path in paths:
            yield f"The site's own Socket.IO server and the chat's are both at {path}. {_advice('io')}"
        middleware = getattr(middleware, "wsgi_app", None) or getattr(middleware, "app", None)


def _advice(view: str) -> str:
    return next(advice for start, advice in _ADVICE.items() if view.startswith(start))


def _place(rule: Rule) -> tuple[object, ...]:
    """Return what two rules have in common if they match the same requests, but for their methods."""
    path = _VARIABLE.sub("<>", rule.rule).rstrip("/")
    return path, rule.subdomain or "", rule.host or "", rule.websocket


def _share_methods(one: Rule, other: Rule) -> bool:
    if one.methods is None or other.methods is None:
        return True
    return bool((one.methods & other.methods) - _ADDED)
