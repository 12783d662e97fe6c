"""The addresses of the chat's own views."""

from __future__ import annotations

from typing import Any

from flask import url_for

from .context import service


def chat_url(endpoint: str = "page", **values: Any) -> str:
    """Return the address of a view of the chat, whatever name, prefix and mount the site gave it."""
    return url_for(f"{service().name}.{endpoint}", **values)
