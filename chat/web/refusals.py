"""Notes in the log that something of the site answered the page's token request before the chat could."""

from __future__ import annotations

import logging
from http import HTTPStatus

from flask import Response, g, request

log = logging.getLogger("flask_chat")

_ASKED = "_chat_token_asked"

_SENTENCE = (
    "the site itself answered POST %s with %d before the chat saw it: a before_request function or a CSRF protection. "
    "%s The page shows its user the status."
)
_REDIRECTED = "If it redirects users who are logged in, let it pass the endpoint {endpoint}."
_REFUSED = (
    "Exempt the endpoint {endpoint}, which checks the request's origin itself, or return the headers that the "
    "protection wants from a function decorated with @chat.token_headers."
)


def note_asked() -> None:
    """Record that the request has reached the chat's token view."""
    setattr(g, _ASKED, True)


class RefusalLog:
    """Logs answers to token requests that are not the chat's, once for each status; one for each app."""

    def __init__(self, blueprint: str) -> None:
        self._endpoint = f"{blueprint}.token"
        self._logged: set[int] = set()

    def look(self, response: Response) -> Response:
        """Log the response if something of the site refused a token; return it unchanged."""
        status = response.status_code
        is_refused = request.endpoint == self._endpoint and not hasattr(g, _ASKED) and 300 <= status < 500
        if is_refused and status not in self._logged:
            self._logged.add(status)
            remedy = _REDIRECTED if status < HTTPStatus.BAD_REQUEST else _REFUSED
            log.warning(_SENTENCE, request.path, status, remedy.format(endpoint=self._endpoint))
        return response
