"""The site's log-in view: where visitors who are not logged in are sent, and how they come back."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from urllib.parse import urlencode, urlsplit

from flask import Flask, request, url_for
from werkzeug.routing import BuildError

log = logging.getLogger("flask_chat")

#: The names that log-in views commonly have: Flask-Security's, a blueprint's, the app's own.
COMMON = ("security.login", "auth.login", "login")

_FOUND = "visitors who are not logged in are sent to %s (%s); CHAT_LOGIN_ENDPOINT names another log-in view"
_MISSING = (
    "no log-in view was found; visitors who are not logged in see a page that asks them to log in to the site. "
    "Set CHAT_LOGIN_ENDPOINT to the endpoint of your log-in view."
)


class LoginView:
    """Finds the log-in view of one app, and logs once what it found. Its methods need a request."""

    def __init__(self, app: Flask, configured: str) -> None:
        self._app = app
        self._configured = configured
        self._is_logged = False

    def path(self) -> str | None:
        """Return the address of the site's log-in view; None if there is none."""
        for source, target in self._candidates():
            address = self._address(target)
            if address is not None:
                self._log_once(_FOUND, target, source)
                return address
        self._log_once(_MISSING)
        return None

    def path_and_back(self) -> str | None:
        """Return the address of the log-in view with `next` for the way back to this request; None if there is none."""
        address = self.path()
        if address is None:
            return None
        # A log-in view on another host needs to know ours.
        here = (
            request.url if urlsplit(address).netloc else request.script_root + request.full_path.rstrip("?")
        )
        return f"{address}{'&' if '?' in address else '?'}{urlencode({'next': here}, safe='/')}"

    def _candidates(self) -> Iterator[tuple[str, str]]:
        """Yield (where it is from, endpoint or address), the best first."""
        if self._configured:
            yield "CHAT_LOGIN_ENDPOINT", self._configured
        login_view = getattr(getattr(self._app, "login_manager", None), "login_view", None)
        if login_view:
            yield "Flask-Login's login_view", login_view
        for endpoint in COMMON:
            yield "a common name", endpoint

    def _address(self, target: str) -> str | None:
        """Return the address of an endpoint that a browser can open without arguments; None for any other."""
        if target.startswith(("/", "https://", "http://")):
            return target  # Flask-Login accepts an address too
        rules = self._app.url_map.iter_rules() if target in self._app.view_functions else ()
        if not any(rule.endpoint == target and "GET" in (rule.methods or ()) for rule in rules):
            return None
        try:
            return url_for(target)
        except BuildError:
            return None

    def _log_once(self, sentence: str, *values: str) -> None:
        if not self._is_logged:
            self._is_logged = True
            log.info(sentence, *values) if values else log.warning(sentence)
