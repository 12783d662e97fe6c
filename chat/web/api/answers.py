"""How the API answers: JSON, never kept by a cache, an HTTP status for each way to fail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from flask import Response, request

from ...i18n import best_language
from ...wire.errors import FAILURES, ChatError

BAD_REQUEST = 400
#: The statuses of failures that are not simply a bad request.
STATUS: Mapping[str, int] = {
    "token_expired": 401,
    "token_invalid": 401,
    "banned": 403,
    "fixed_title": 403,
    "forbidden": 403,
    "last_owner": 403,
    "not_joined": 403,
    "rooms_closed": 403,
    "too_many_rooms": 403,
    "not_found": 404,
    "unknown_room": 404,
    "unknown_user": 404,
    "method_not_allowed": 405,
    "room_taken": 409,
    "too_large": 413,
    "not_json": 415,
    "store_unavailable": 503,
}
#: What an answer of a status says beside its body.
_HEADERS: Mapping[int, dict[str, str]] = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return `value` as JSON; None for an answer without a body (204)."""
    if value is None:
        response = Response(status=204, headers=headers)
        del response.headers["Content-Type"]
    else:
        response = Response(orjson.dumps(value), status, headers, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


def refuse(error: ChatError, headers: Mapping[str, str] | None = None) -> Response:
    """Return a failure as JSON, in the language of who asks: a code for the program, a sentence for the person."""
    status = STATUS.get(error.code, BAD_REQUEST)
    said = {"error": FAILURES[error.code].sentence(language()), "code": error.code}
    return answer(said, status, {**_HEADERS.get(status, {}), **(headers or {})})


def language() -> str:
    """Return the language of this request's errors, as at a socket's upgrade."""
    return best_language(request.args.get("lang"), request.headers.get("Accept-Language", ""))
