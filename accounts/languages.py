"""The language of the site's pages, which the chat follows."""

from __future__ import annotations

from flask import has_request_context, request, session

CODES = ("en", "zh")


def select() -> str | None:
    """Return the language of the query's `lang`, else the session's, else the browser's."""
    if not has_request_context():
        return None
    for asked in (request.args.get("lang"), session.get("lang")):
        if asked in CODES:
            return asked
    return request.accept_languages.best_match(CODES, default="en")
