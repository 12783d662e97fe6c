"""Log-outs that the site's own extensions announce: Flask-Login's, and changed passwords of Flask-Security."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

from flask import Flask

from ..store.history import StoreUnavailable

log = logging.getLogger("flask_chat")

#: {module: its signals} that end one session, and those that end all sessions of a user.
_ENDS_SESSION = {"flask_login": ("user_logged_out",)}
_ENDS_ALL = {"flask_security": ("password_changed", "password_reset")}


class LogOutSignals:
    """Listens to the signals of the extensions that the site has imported; `log_out()` and `revoke(user)` react."""

    def __init__(self, app: Flask, log_out: Callable[[], None], revoke: Callable[[Any], None]) -> None:
        self._app = app
        self._log_out = log_out
        self._revoke = revoke
        self._heard: set[str] = set()

    def listen(self) -> None:
        """Connect to the extensions imported by now; costs nothing where nothing is new."""
        for table, receiver in ((_ENDS_SESSION, self._session_ended), (_ENDS_ALL, self._all_ended)):
            for module, names in table.items():
                if module in sys.modules and module not in self._heard:
                    self._heard.add(module)
                    for name in names:
                        getattr(sys.modules[module], name).connect(receiver, sender=self._app)

    def _session_ended(self, sender: Flask, **_: Any) -> None:
        self._attempt(self._log_out)

    def _all_ended(self, sender: Flask, user: Any = None, **_: Any) -> None:
        if user is not None:
            self._attempt(lambda: self._revoke(user))

    def _attempt(self, end: Callable[[], None]) -> None:
        """Call `end`; the site's own log-out must not fail because the chat's database does."""
        try:
            end()
        except StoreUnavailable:
            log.exception("a log-out did not reach the chat's other processes")
