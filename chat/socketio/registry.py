"""The handlers that a site registers for its own events, by namespace and event."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final

Handler = Callable[..., Any]
#: A namespace's name; a pattern that matches whole names; or a function of (name, auth) that tells whether it exists.
Namespace = str | re.Pattern[str] | Callable[[str, Mapping[str, Any]], Any]

CONNECT, DISCONNECT = "connect", "disconnect"


class _NoAck(Enum):
    NO_ACK = "NO_ACK"

    def __repr__(self) -> str:
        return self.value


#: Returned by a handler that acknowledges nothing: the client that asked for an ack gets none.
NO_ACK: Final = _NoAck.NO_ACK


class Chain(Enum):
    """What a namespace may have any number of; they are called in the order in which they were added."""

    MIDDLEWARE = "use"
    INCOMING = "on_any"
    OUTGOING = "on_any_outgoing"


class ConnectRefused(Exception):
    """Raised by a middleware or an on_connect handler: the client gets a `connect_error` with `message` and `data`.

    `data` is what JSON can hold; None is left out.
    """

    def __init__(self, message: str = "Refused", data: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


class SiteNamespace:
    """What a site has registered for one namespace, or for all those that one pattern allows."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}
        self.chains: dict[Chain, list[Handler]] = {chain: [] for chain in Chain}

    def add(self, event: str | Chain, handler: Handler) -> None:
        """Have `handler` serve `event`, or append it to a chain; ValueError for a second handler of an event."""
        if isinstance(event, Chain):
            self.chains[event].append(handler)
        elif event in self._handlers:
            raise ValueError(f"There is a handler for {event!r} in this namespace already.")
        else:
            self._handlers[event] = handler

    def find(self, event: str) -> Handler | None:
        """Return the handler of an event, or None."""
        return self._handlers.get(event)


class Registry:
    """The handlers of one app."""

    def __init__(self) -> None:
        self._named: dict[str, SiteNamespace] = {}
        self._dynamic: dict[Any, SiteNamespace] = {}

    def add(self, namespace: Namespace, event: str | Chain, handler: Handler) -> None:
        """Have `handler` serve `event` in `namespace`, or join one of its chains.

        ValueError for a name without a slash, or a second handler of an event.
        """
        if not isinstance(namespace, str):
            if not isinstance(namespace, re.Pattern) and not callable(namespace):
                raise TypeError(
                    "A namespace is a name, a compiled pattern, or a function of a name and an auth."
                )
            self._dynamic.setdefault(namespace, SiteNamespace()).add(event, handler)
            return
        check_name(namespace)
        self._named.setdefault(namespace, SiteNamespace()).add(event, handler)

    def __bool__(self) -> bool:
        return bool(self._named or self._dynamic)

    def __contains__(self, name: str) -> bool:
        return name in self._named

    @property
    def is_dynamic(self) -> bool:
        """Whether namespaces other than the named ones may exist."""
        return bool(self._dynamic)

    def named(self, name: str) -> SiteNamespace | None:
        """Return what is registered for exactly that name."""
        return self._named.get(name)

    def match(
        self, name: str, auth: Mapping[str, Any], call_site: Callable[..., Any]
    ) -> SiteNamespace | None:
        """Return the first dynamic namespace, in the order of their registration, that `name` may be; it may block."""
        for allowed, namespace in list(self._dynamic.items()):
            if isinstance(allowed, re.Pattern):
                if allowed.fullmatch(name):
                    return namespace
            elif call_site(allowed, name, auth):
                return namespace
        return None


def check_name(namespace: str) -> None:
    """Raise ValueError for what cannot be the name of a namespace."""
    if not isinstance(namespace, str) or not namespace.startswith("/"):
        raise ValueError(f"The namespace {namespace!r} must begin with a slash.")
