"""Responses of the chat that Flask must hand on as they are, whatever response class the site's app has."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

from flask import Response, current_app, has_app_context

R = TypeVar("R", bound=Response)


def for_site(kind: type[R]) -> type[R]:
    """Return `kind` as a subclass of the app's response class: Flask gives every other response that class instead."""
    if not has_app_context():
        return kind
    wanted: Any = kind
    base: Any = current_app.response_class
    return _subclass(wanted, base)


@lru_cache(maxsize=32)
def _subclass(kind: Any, base: Any) -> Any:
    return kind if issubclass(kind, base) else type(kind.__name__, (kind, base), {})
