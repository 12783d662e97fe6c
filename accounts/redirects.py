"""Where to go next: only ever to a path of this site."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import request, url_for
from werkzeug.utils import redirect
from werkzeug.wrappers import Response


def is_own_path(target: str) -> bool:
    r"""Tell whether `target` is a path on this very host, in the eyes of any browser.

    Browsers take `//host` and `/\host` for another host, and leave out tabs and line ends before they look.
    """
    if not target.startswith("/") or target.startswith("//") or "\\" in target:
        return False
    if any(ord(char) < 0x21 or ord(char) == 0x7F for char in target):
        return False
    try:
        parts = urlsplit(target)
    except ValueError:
        return False
    return not parts.scheme and not parts.netloc


def go_on(endpoint: str = "chat.page") -> Response:
    """Redirect to the query's `next` if it is a path of ours, else to `endpoint`; with GET whatever came."""
    target = request.args.get("next", "")
    return redirect(target if is_own_path(target) else url_for(endpoint), 303)
