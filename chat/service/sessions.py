"""The site's log-in sessions: each has a random id, which tokens carry, so that a log-out ends its sockets alone."""

from __future__ import annotations

import secrets
from typing import NamedTuple

from flask import current_app, request, session

#: Where the site's session holds [user id, session id].
KEY = "_chat_session"
#: Random bytes of an id.
ID_BYTES = 9


class SiteSession(NamedTuple):
    """Whose session this is for the chat, and its id."""

    user_id: str
    sid: str


def current() -> SiteSession | None:
    """Return the session of this request as far as the chat has named it."""
    return _read(session.get(KEY))


def name(user_id: str) -> str:
    """Give this request's session a new id, which its cookie keeps, and return it; "" on a site without sessions."""
    if _is_null():
        return ""
    sid = secrets.token_urlsafe(ID_BYTES)
    session[KEY] = [user_id, sid]
    return sid


def take() -> SiteSession | None:
    """Return the named session that this request came with, and forget its name; None if it has none."""
    found = current() or _read(_as_sent())
    if not _is_null():
        session.pop(KEY, None)
    return found


def _is_null() -> bool:
    return current_app.session_interface.is_null_session(session._get_current_object())  # type: ignore[attr-defined]


def _as_sent() -> object:
    """Return what the session held at the start of the request: a log-out view may have cleared it since."""
    original = current_app.session_interface.open_session(current_app, request)
    return original.get(KEY) if original is not None else None


def _read(value: object) -> SiteSession | None:
    if isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(part, str) for part in value):
        return SiteSession(*value)
    return None
