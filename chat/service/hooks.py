"""What the runtime calls in the app: signals, site code in an app context, rows and read marks of users."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask

from .. import signals
from .identities import Identities
from .rooms import RoomService

_SIGNALS = {
    "connect": signals.client_connected,
    "disconnect": signals.client_disconnected,
    "message": signals.message_sent,
}


class AppHooks:
    """The SiteHooks of one Flask app."""

    def __init__(self, app: Flask, identities: Identities, rooms: RoomService) -> None:
        self._app = app
        self.receivers: Mapping[str, Mapping[Any, Any]] = {
            kind: signal.receivers for kind, signal in _SIGNALS.items()
        }
        self.ensure_users = identities.ensure_users
        self.ensure_site_user = identities.ensure_site_user
        self.mark_read = rooms.mark_read

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return `function(*args)`, run in an app context."""
        with self._app.app_context():
            return function(*args)

    def announce(self, kind: str, **facts: Any) -> None:
        """Send the signal of that kind in an app context."""
        with self._app.app_context():
            _SIGNALS[kind].send(self._app, **facts)
