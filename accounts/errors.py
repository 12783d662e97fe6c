"""HTTP errors as a page of the site or as JSON, depending on the client."""

from __future__ import annotations

from typing import Any

from flask import Flask, g, make_response, render_template, request
from flask_babel import gettext as _
from flask_login import AnonymousUserMixin
from werkzeug.exceptions import HTTPException

from .api import failure


def init(app: Flask) -> None:
    """Register the error handler of `app`."""
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
    """Tell whether the client wants HTML: browsers accept it when they navigate, and programs seldom do."""
    return "text/html" in request.headers.get("Accept", "") and not request.path.startswith("/api/")


def _page(status: int, title: str, text: str) -> str:
    if status >= 500:
        # The page would look up the logged-in user, and the database may be what failed.
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
    # The text of a view that called abort() with a description is more specific.
    description = error.description if error.description != type(error).description else None
    return title, description or text
