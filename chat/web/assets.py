"""Serves the built front end, and tells templates the addresses of its files.

`make assets` builds it into static/dist (tools/build.mjs): files with hashed names, which a browser may cache for ever,
a gzip and a Brotli copy of each, and manifest.json, which maps the templates' names to files. Without a build, or with
CHAT_ASSETS=source, pages load the source modules instead.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any, NamedTuple, cast

import orjson
from flask import Response, abort, request, send_file
from werkzeug.datastructures import Headers

from .responses import for_site
from .urls import chat_url

log = logging.getLogger("flask_chat")

DIST = Path(__file__).resolve().parent.parent / "static" / "dist"
#: The names that templates use, and the source file of each.
SOURCES = {
    "page.js": "js/page.js",
    "widget.js": "js/widget.js",
    "chat.css": "chat.css",
    "favicon.svg": "favicon.svg",
}
TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".map": "application/json",
}
#: The encodings of the compressed copies, the best first, and the suffix of each.
ENCODINGS = {"br": ".br", "gzip": ".gz"}
A_YEAR = 365 * 24 * 3600
NOT_BUILT = (
    "The chat's front end is not built, so pages load its modules one by one, which is slower. "
    "Run `make assets`, or set CHAT_ASSETS=source to do without a build."
)

_HASHED = re.compile(r"(.+)-[A-Z0-9]{8}(\.[a-z]+)")


class Built(NamedTuple):
    """One build: the file of each name that templates use, the encodings of each file, and the time of the build."""

    entries: dict[str, str]
    files: dict[str, list[str]]
    made: float


NOTHING = Built({}, {}, 0.0)


class SharedResponse(Response):
    """A response that is the same for all users: it sets no cookie, whatever the site does with its session."""

    def get_wsgi_headers(self, environ: Any) -> Headers:
        """Return the headers without those that Flask adds last, for the session: a cookie and `Vary: Cookie`."""
        headers = super().get_wsgi_headers(environ)
        headers.remove("Set-Cookie")
        headers["Vary"] = "Accept-Encoding"
        return headers


class Assets:
    """The front end of one app: `serve` is the view of its files, `url` the function for templates."""

    def __init__(self, wanted: str, folder: Path = DIST) -> None:
        self._folder = folder
        self._from_source = wanted == "source"
        self._built = NOTHING
        self._warned = False

    def url(self, entry: str) -> str:
        """Return the address of "page.js", "widget.js", "chat.css" or "favicon.svg"."""
        file = self._current().entries.get(entry)
        if file is None:
            return chat_url("static", filename=SOURCES[entry])
        return chat_url("asset", name=file)

    def serve(self, name: str) -> Response:
        """Serve a built file in the best encoding that the client accepts; 404 for any other name."""
        built = self._current()
        file = name if name in built.files else _successor(name, built.files)
        if file is None:
            abort(404)
        encoding = _preferred(built.files[file])
        path = self._folder / (file + ENCODINGS.get(encoding, ""))
        response = send_file(path, TYPES[Path(file).suffix], conditional=True, etag=path.name)
        del response.headers["Content-Disposition"]  # it would name the compressed copy
        if encoding:
            response.headers["Content-Encoding"] = encoding
        lasting = f"public, max-age={A_YEAR}, immutable"
        response.headers["Cache-Control"] = lasting if file == name else "no-store"
        return cast(SharedResponse, for_site(SharedResponse).force_type(response))

    def _current(self) -> Built:
        """Return the present build, which may be newer than the process."""
        manifest = self._folder / "manifest.json"
        if self._from_source:
            return NOTHING
        try:
            made = manifest.stat().st_mtime
            if made != self._built.made:
                self._built = Built(orjson.loads(manifest.read_bytes()), _files(self._folder), made)
        except FileNotFoundError:
            if not self._warned:
                log.warning(NOT_BUILT)
            self._warned = True
            return NOTHING
        return self._built


def _files(folder: Path) -> dict[str, list[str]]:
    """Return the names of the built files, and the encodings of each."""
    names = {path.name for path in folder.iterdir()}
    return {
        name: [encoding for encoding, ending in ENCODINGS.items() if name + ending in names]
        for name in names
        if Path(name).suffix in TYPES
    }


def _successor(name: str, files: dict[str, list[str]]) -> str | None:
    """Return this build's version of a file of another build: nodes that are updated one by one serve both builds."""
    wanted = _HASHED.fullmatch(name)
    if wanted is None:
        return None
    named = [
        file for file in files if (match := _HASHED.fullmatch(file)) and match.groups() == wanted.groups()
    ]
    return named[0] if len(named) == 1 else None


def _preferred(encodings: list[str]) -> str:
    """Return the encoding that the client prefers, "" if it accepts none of them."""
    accepted = request.accept_encodings
    return max(
        (name for name in encodings if accepted[name] > 0), key=lambda name: accepted[name], default=""
    )
