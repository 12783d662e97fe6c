"""Responses of the API: JSON that no cache stores, and an HTTP status for each error."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import orjson
from flask import Response

from ...wire.errors import FAILURES, ChatError
from ...wire.messages import user_json
from ..context import language

BAD_REQUEST = 400
#: The statuses of errors, where they are not BAD_REQUEST.
STATUS: Mapping[str, int] = {
    "token_expired": 401,
    "token_invalid": 401,
    "banned": 403,
    "fixed_title": 403,
    "forbidden": 403,
    "last_owner": 403,
    "account_deleted": 403,
    "invitation_declined": 403,
    "reserved_title": 403,
    "not_joined": 403,
    "rooms_closed": 403,
    "too_many_rooms": 403,
    "not_found": 404,
    "unknown_room": 404,
    "unknown_invitation": 404,
    "unknown_user": 404,
    "method_not_allowed": 405,
    "ambiguous_to": 409,
    "room_taken": 409,
    "too_large": 413,
    "not_json": 415,
    "search_busy": 429,
    "too_many_requests": 429,
    "too_many_invitations": 429,
    "store_unavailable": 503,
}
#: Headers of the responses with a status.
_HEADERS: Mapping[int, dict[str, str]] = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return `value` as a JSON response; None makes one without a body (204)."""
    if value is None:
        response = Response(status=204, headers=headers)
        del response.headers["Content-Type"]
    else:
        response = Response(orjson.dumps(value), status, headers, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


def refuse(error: ChatError, headers: Mapping[str, str] | None = None) -> Response:
    """Return an error as JSON: a code for programs, and a sentence in the language of the request."""
    status = STATUS.get(error.code, BAD_REQUEST)
    body: dict[str, Any] = {"error": FAILURES[error.code].sentence(language()), "code": error.code}
    if error.users:
        body["users"] = [user_json(user) for user in error.users]
    added = dict(headers or {})
    if error.retry_after is not None:
        body["retry_after"] = round(error.retry_after, 3)
        added["Retry-After"] = str(math.ceil(error.retry_after))
    return answer(body, status, {**_HEADERS.get(status, {}), **added})
