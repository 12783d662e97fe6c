"""The handlers that a site registers for its own events, by namespace and event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Handler = Callable[..., Any]

CONNECT, DISCONNECT = "connect", "disconnect"


class ConnectRefused(Exception):
    """Raised by an on_connect handler: the client gets a `connect_error` with `message` and, if given, `data`."""

    def __init__(self, message: str = "Refused", data: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


class Registry:
    """The handlers of one app."""

    def __init__(self) -> None:
        self._handlers: dict[str, dict[str, Handler]] = {}

    def add(self, namespace: str, event: str, handler: Handler) -> None:
        """Have `handler` serve `event` in `namespace`; ValueError for a name without a slash, or a second handler."""
        if not namespace.startswith("/"):
            raise ValueError(f"The namespace {namespace!r} must begin with a slash.")
        events = self._handlers.setdefault(namespace, {})
        if event in events:
            raise ValueError(f"There is a handler for {event!r} in {namespace!r} already.")
        events[event] = handler

    def find(self, namespace: str, event: str) -> Handler | None:
        """Return the handler, or None."""
        return self._handlers.get(namespace, {}).get(event)

    def __contains__(self, namespace: str) -> bool:
        return namespace in self._handlers
