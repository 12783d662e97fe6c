"""Security headers of the chat's own responses.

They are added to what a view returns, and not in the blueprint's after_request: that would also see the pages of the
site's error handlers, and what a before_request of the site answers in the place of a view.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Response, current_app, request

from .context import service
from .sockets import Parked


def with_security_headers(view: Callable[..., Any]) -> Callable[..., Response]:
    """Return `view` with the security headers on its responses, for the site's after_request to change."""

    @wraps(view)
    def secured(*args: Any, **values: Any) -> Response:
        return _add(current_app.make_response(view(*args, **values)))

    return secured


def _add(response: Response) -> Response:
    if isinstance(response, Parked):
        return response
    headers = response.headers
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "no-referrer")
    if response.mimetype == "text/html":
        headers.setdefault("Content-Security-Policy", service().settings.content_security_policy or _policy())
    return response


def _policy() -> str:
    host = request.host
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        f"connect-src 'self' ws://{host} wss://{host}; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'self'"
    )
