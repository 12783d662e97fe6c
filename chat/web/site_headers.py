"""The headers that the page's requests for tokens and of the API carry, by the site's hook."""

from __future__ import annotations

from collections.abc import Mapping

from ..service import ChatService


def site_headers(chat: ChatService) -> dict[str, str]:
    """Return the headers of the site's @chat.token_headers function; TypeError for anything but text."""
    headers = chat.load_token_headers()
    if not isinstance(headers, Mapping) or not all(
        isinstance(part, str) for item in headers.items() for part in item
    ):
        raise TypeError(
            "Your @chat.token_headers function must return a dict of text: header names and values."
        )
    return dict(headers)
