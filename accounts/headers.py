"""The security headers of the site's pages."""

from __future__ import annotations

from flask import Response

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
#: The status of a socket of the chat: nobody reads the headers of its response.
_SWITCHING_PROTOCOLS = 101


def secure(response: Response) -> Response:
    """Add the headers that the view has not set; the chat's pages set their own."""
    if response.status_code == _SWITCHING_PROTOCOLS:
        return response
    headers = response.headers
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "same-origin")
    if response.mimetype == "text/html":
        headers.setdefault("Content-Security-Policy", _POLICY)
        headers.setdefault("Cache-Control", "no-store")
    return response
