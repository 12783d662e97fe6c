"""`chat.io`: a site's own events over Socket.IO, beside the chat's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from . import packets, registry
from .answers import AckTimeout, Answers
from .connection import Connection
from .packets import Prepared
from .registry import Chain, Handler, Namespace
from .remote_session import RemoteSession
from .selection import Rooms, Selection, Skipped, names

Decorator = Callable[[Handler], Handler]


class Handlers(Protocol):
    """A collection of handlers: a Registry, or one that passes them on."""

    def add(self, namespace: Namespace, event: str | Chain, handler: Handler) -> None:
        """Have `handler` serve `event` in `namespace`, or join one of its chains."""


class Clients(Protocol):
    """The clients of all workers of the site. Its methods may block."""

    def emit(self, selection: Selection, event: Prepared, is_volatile: bool) -> None:
        """Send an event."""

    def ask(
        self,
        selection: Selection,
        event: Prepared,
        timeout: float,
        is_volatile: bool,
        done: Callable[[Answers], Any],
    ) -> None:
        """Send an event, and call `done(answers)`, as the site's code, once all have answered or time is up."""

    def call(self, selection: Selection, event: Prepared, timeout: float, is_volatile: bool) -> Answers:
        """Send an event, and return the answers once all have answered or time is up."""

    def change(self, action: str, selection: Selection, *args: Any) -> None:
        """Have clients "join" or "leave" rooms, or "disconnect" them."""

    def sessions(self, selection: Selection) -> list[Connection | dict[str, Any]]:
        """Return the sessions, those of other workers as the fields of a RemoteSession."""


class IO:
    """Registers handlers, emits, and reaches clients by room. Handlers are plain functions and may block.

    They run in an app context. A handler's first argument is the client's `session` (a Connection); the events of one
    client are served one at a time and in order, from a bounded queue.

    A handler's `namespace` is a name, a compiled pattern, which the whole name must match, or a function of (name,
    auth) that tells whether the namespace exists. Elsewhere it is a name.

    The clients that a method means are those in `room` (a name, the id of a session, or several of these; without it,
    all in `namespace`), but for `skip`: a session, an id, a room, or several.
    """

    def __init__(self, registries: Callable[[], Iterable[Handlers]], clients: Callable[[], Clients]) -> None:
        self._registries = registries
        self._clients = clients

    # ---- handlers ------------------------------------------------------------------------------------------------

    def on(self, event: str, namespace: Namespace = "/") -> Decorator:
        """Decorate the handler of `event`: called with the session and the event's arguments.

        Its result is sent as the ack, if the client wants one: a tuple is several arguments, None is none. A handler
        that returns NO_ACK acknowledges nothing.
        """
        return self._decorator(namespace, event)

    def on_any(self, namespace: Namespace = "/") -> Decorator:
        """Decorate a listener of all events from clients: called with the session, the event, and its arguments.

        It is called before the event's handler, which is not called where it raises; its result is ignored.
        """
        return self._decorator(namespace, Chain.INCOMING)

    def on_any_outgoing(self, namespace: Namespace = "/") -> Decorator:
        """Decorate a listener of all events to clients: called with a receiver's session, the event, its arguments.

        It is called for each receiver on this worker, after the event was sent.
        """
        return self._decorator(namespace, Chain.OUTGOING)

    def use(self, namespace: Namespace = "/") -> Decorator:
        """Decorate a middleware: called with the session of each new client, before on_connect.

        It may refuse the client: return False, or raise ConnectRefused. The middlewares after it are not called then.
        """
        return self._decorator(namespace, Chain.MIDDLEWARE)

    def on_connect(self, namespace: Namespace = "/") -> Decorator:
        """Decorate the handler of a new client: called with the session and its `auth`.

        It may refuse the client: return False, or raise ConnectRefused.
        """
        return self._decorator(namespace, registry.CONNECT)

    def on_disconnect(self, namespace: Namespace = "/") -> Decorator:
        """Decorate the handler of a client that disconnected: called with the session and the reason."""
        return self._decorator(namespace, registry.DISCONNECT)

    def _decorator(self, namespace: Namespace, event: str | Chain) -> Decorator:
        def decorate(handler: Handler) -> Handler:
            for handlers in self._registries():
                handlers.add(namespace, event, handler)
            return handler

        return decorate

    # ---- events to clients ---------------------------------------------------------------------------------------

    def emit(
        self,
        event: str,
        *args: Any,
        room: Rooms | None = None,
        namespace: str = "/",
        skip: Skipped | None = None,
        volatile: bool = False,
        ack: Callable[[Answers], Any] | None = None,
        timeout: float = 5.0,
    ) -> None:
        """Send an event to clients; from any thread.

        `bytes` in `args` travel as attachments. What is `volatile` is dropped for a client that has not received
        everything before it. `ack(answers)` is called once: when all clients have answered or disconnected, or after
        `timeout` seconds. A process that serves no clients forwards an event without `ack` to those that do.
        """
        selection, prepared = Selection.of(namespace, room, skip), packets.prepare_event(event, args)
        if ack is None:
            self._clients().emit(selection, prepared, volatile)
        else:
            self._clients().ask(selection, prepared, _positive(timeout), volatile, ack)

    def call(
        self,
        event: str,
        *args: Any,
        room: Rooms | None = None,
        namespace: str = "/",
        skip: Skipped | None = None,
        volatile: bool = False,
        timeout: float = 5.0,
    ) -> Answers:
        """Send an event to clients and return their answers.

        Raises AckTimeout, whose `answers` are those that came, where not all have answered in `timeout` seconds.
        """
        selection, prepared = Selection.of(namespace, room, skip), packets.prepare_event(event, args)
        answers = self._clients().call(selection, prepared, _positive(timeout), volatile)
        if not answers.is_complete:
            raise AckTimeout(f"Not all clients answered {event!r} within {timeout:g} s.", answers)
        return answers

    # ---- the clients themselves ----------------------------------------------------------------------------------

    def sessions(
        self, room: Rooms | None = None, namespace: str = "/", skip: Skipped | None = None
    ) -> list[Connection | RemoteSession]:
        """Return the sessions of clients; those of other workers as they were a moment ago, in a RemoteSession.

        A worker that does not answer within 2 s is left out.
        """
        found = self._clients().sessions(Selection.of(namespace, room, skip))
        return [RemoteSession(self, **one) if isinstance(one, dict) else one for one in found]

    def join(
        self,
        rooms: Rooms,
        *,
        room: Rooms | None = None,
        namespace: str = "/",
        skip: Skipped | None = None,
    ) -> None:
        """Add clients to `rooms`, one name or several."""
        self._clients().change("join", Selection.of(namespace, room, skip), names(rooms))

    def leave(
        self,
        rooms: Rooms,
        *,
        room: Rooms | None = None,
        namespace: str = "/",
        skip: Skipped | None = None,
    ) -> None:
        """Remove clients from `rooms`, one name or several."""
        self._clients().change("leave", Selection.of(namespace, room, skip), names(rooms))

    def disconnect(
        self,
        room: Rooms | None = None,
        namespace: str = "/",
        skip: Skipped | None = None,
        close: bool = False,
    ) -> None:
        """Disconnect clients from `namespace`; `close`: from all namespaces, with their transport."""
        self._clients().change("disconnect", Selection.of(namespace, room, skip), close)


def _positive(timeout: float) -> float:
    if not timeout > 0:
        raise ValueError(f"A timeout is a number of seconds above 0, not {timeout!r}.")
    return timeout
