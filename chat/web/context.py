"""What the chat's views need of the current request: its app's chat and its language."""

from __future__ import annotations

from flask import current_app, request

from .. import i18n
from ..service import ChatService


def service() -> ChatService:
    """Return the chat of the current app."""
    return current_app.extensions["chat"]


def language() -> str:
    """Return the language of the current request: that of `?lang=`, else of Accept-Language, else English."""
    return i18n.best_language(request.args.get("lang"), request.headers.get("Accept-Language", ""))
