"""What goes wrong, as a page in the site's look or as JSON, whichever was asked for."""

from __future__ import annotations

from typing import Any

from flask import Flask, g, make_response, render_template, request
from flask_babel import gettext as _
from flask_login import AnonymousUserMixin
from werkzeug.exceptions import HTTPException

from .api import failure


def init(app: Flask) -> None:
    """Show every HTTP error of `app` in this way."""
    app.register_error_handler(HTTPException, show)


def show(error: HTTPException) -> Any:
    """Return the error as a page to a browser and as JSON to any other client."""
    original = error.get_response()
    if original.status_code < 400:
        return original
    title, text = _words(error)
    if wants_page():
        page = _page(original.status_code, title, text)
        response = make_response(page, original.status_code)
    else:
        response = failure(original.status_code, error.name.lower().replace(" ", "_"), text)
    for name, value in original.headers:
        if name not in {"Content-Type", "Content-Length"}:
            response.headers[name] = value
    return response


def wants_page() -> bool:
    """Tell whether a person is looking: browsers name HTML when they navigate, and programs seldom do."""
    return "text/html" in request.headers.get("Accept", "") and not request.path.startswith("/api/")


def _page(status: int, title: str, text: str) -> str:
    if status >= 500:
        # The page would look up who is logged in, and the database may be what broke.
        g._login_user = AnonymousUserMixin()
    return render_template("error.html", status=status, title=title, text=text)


def _words(error: HTTPException) -> tuple[str, str]:
    known = {
        400: (_("That didn't work"), _("The server couldn't understand this request.")),
        403: (_("Not allowed"), _("You don't have permission to do that.")),
        404: (_("Page not found"), _("There's no page at this address.")),
        405: (_("Page not found"), _("This address can't be opened this way.")),
        413: (_("Too large"), _("What you sent is too large.")),
        429: (_("Slow down"), _("Too many attempts. Try again later.")),
        500: (_("Something went wrong"), _("It's not your fault. Please try again in a moment.")),
    }
    title, text = known.get(error.code or 500, (_("That didn't work"), _("Please try again.")))
    # A view that aborted with a sentence of its own has the better one.
    said = error.description if error.description != type(error).description else None
    return title, said or text
