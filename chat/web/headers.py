"""Security headers of the chat's own responses."""

from __future__ import annotations

from flask import Response, request

from .context import service
from .sockets import Parked


def add_security_headers(response: Response) -> Response:
    """Add the security headers to a response of the chat's own views, unless the site has set its own."""
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
