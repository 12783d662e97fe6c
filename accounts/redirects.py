"""Redirects to the query's `next`, restricted to paths of this site."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import request, url_for
from werkzeug.utils import redirect
from werkzeug.wrappers import Response


def is_own_path(target: str) -> bool:
    r"""Tell whether every browser takes `target` for a path on this host.

    Browsers treat `//host` and `/\host` as another host, and remove tabs and line ends first.
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


def redirect_next(endpoint: str = "chat.page") -> Response:
    """Redirect to the query's `next` if it is a path of this site, else to `endpoint`; always with GET."""
    target = request.args.get("next", "")
    return redirect(target if is_own_path(target) else url_for(endpoint), 303)
