"""`chat.io`: a site's own events over Socket.IO, beside the chat's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from . import packets, registry
from .connection import Connection
from .registry import Handler

Decorator = Callable[[Handler], Handler]


class Handlers(Protocol):
    """A collection of handlers: a Registry, or one that passes them on."""

    def add(self, namespace: str, event: str, handler: Handler) -> None:
        """Have `handler` serve `event` in `namespace`."""


class IO:
    """Registers handlers and emits. Handlers are plain functions: they run in an app context and may block.

    A handler's first argument is the client's `session` (a Connection); the events of one client are served one at a
    time and in order, from a bounded queue.
    """

    def __init__(self, registries: Callable[[], Iterable[Handlers]], emit: Callable[..., None]) -> None:
        self._registries = registries
        self._emit = emit

    def on(self, event: str, namespace: str = "/") -> Decorator:
        """Decorate the handler of `event`: called with the session and the event's arguments.

        Its result is sent as the ack, if the client wants one; a tuple is several arguments.
        """
        return self._decorator(namespace, event)

    def on_connect(self, namespace: str = "/") -> Decorator:
        """Decorate the handler of a new client: called with the session and its `auth`.

        It may refuse the client: return False, or raise ConnectRefused.
        """
        return self._decorator(namespace, registry.CONNECT)

    def on_disconnect(self, namespace: str = "/") -> Decorator:
        """Decorate the handler of a client that disconnected: called with the session and the reason."""
        return self._decorator(namespace, registry.DISCONNECT)

    def _decorator(self, namespace: str, event: str) -> Decorator:
        def decorate(handler: Handler) -> Handler:
            for handlers in self._registries():
                handlers.add(namespace, event, handler)
            return handler

        return decorate

    def emit(
        self,
        event: str,
        *args: Any,
        room: str | None = None,
        namespace: str = "/",
        skip: Connection | None = None,
    ) -> None:
        """Send an event to a room, to one client (`room=session.id`) or to all of a namespace; from any thread.

        `bytes` in `args` travel as attachments. A process that serves no clients forwards it to those that do.
        """
        self._emit(namespace, room, packets.prepare([event, *args]), skip)
