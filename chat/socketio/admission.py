"""Whether a client may connect to a namespace: its token, the connection that it resumes, the site's on_connect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..identity.guard import Grant, Guard
from ..rooms.hub import Hub
from ..wire.envelope import Identity
from ..wire.errors import ChatError
from . import registry
from .connection import Connection
from .namespaces import Namespaces
from .registry import Chain, ConnectRefused
from .resume import Resumer

INVALID_NAMESPACE = "Invalid namespace"


class Admission:
    """Admits connections, or raises ConnectRefused.

    `call_site(function, *args)` calls a handler in an app context; `remember(identity)` is called with each user.
    """

    def __init__(
        self,
        hub: Hub,
        guard: Guard,
        namespaces: Namespaces,
        resumer: Resumer,
        call_site: Callable[..., Any],
        remember: Callable[[Identity], None],
    ) -> None:
        self._hub = hub
        self._guard = guard
        self._namespaces = namespaces
        self._resumer = resumer
        self._call_site = call_site
        self._remember = remember

    def check(self, connection: Connection) -> Grant | None:
        """Find the namespace, identify the client, restore what it resumes, and ask the site; in a job.

        Returns what its token grants: None without a good one, which the chat's namespace refuses.
        """
        self._find_namespace(connection)
        granted = self._check_token(connection)
        self._resume(connection, granted)
        self._ask_site(connection)
        return granted

    def _find_namespace(self, connection: Connection) -> None:
        name = connection.namespace
        connection.site = self._namespaces.find(name, connection.auth)
        if connection.site is None and not self._namespaces.is_chat(name):
            raise ConnectRefused(INVALID_NAMESPACE)

    def _check_token(self, connection: Connection) -> Grant | None:
        token = connection.auth.get("token") or connection.engine_session.request.token
        try:
            granted = self._guard.check(token if isinstance(token, str) else "")
            self._remember(granted.identity)
        except ChatError as error:
            if self._namespaces.is_chat(connection.namespace):
                raise _refusal(error, connection) from None
            return None
        connection.identity, connection.issued, connection.sid = granted.identity, granted.issued, granted.sid
        return granted

    def _resume(self, connection: Connection, granted: Grant | None) -> None:
        resumption = self._resumer.find(connection, granted)
        if resumption is not None:
            connection.restore(resumption, connection.auth["pid"])
        elif granted is not None:
            connection.pid = self._resumer.new_pid(connection, granted) or connection.pid
            if self._namespaces.is_chat(connection.namespace):
                self._hub.arrivals.wait(granted.identity.id)

    def _ask_site(self, connection: Connection) -> None:
        site = connection.site
        if site is None:
            return
        for middleware in list(site.chains[Chain.MIDDLEWARE]):
            self._ask(middleware, connection)
        handler = site.find(registry.CONNECT)
        if handler is not None:
            self._namespaces.mark_mixed(connection.namespace)
            self._ask(handler, connection, connection.auth)

    def _ask(self, function: Callable[..., Any], *args: Any) -> None:
        if self._call_site(function, *args) is False:
            raise ConnectRefused

    def confirm(self, connection: Connection, granted: Grant) -> None:
        """Check again what may have changed since `check`, and the limits of the chat; in the loop."""
        try:
            self._guard.confirm(granted)  # a kick may have come since
            if self._namespaces.is_chat(connection.namespace):
                self._hub.users.check_limits(granted.identity, connection.engine_session.member.address)
        except ChatError as error:
            raise _refusal(error, connection) from None


def _refusal(error: ChatError, connection: Connection) -> ConnectRefused:
    failure = error.failure
    data = {"code": failure.code}
    if error.retry_after is not None:
        data["retry_after"] = round(error.retry_after, 3)  # type: ignore[assignment]
    return ConnectRefused(failure.sentence(connection.language), data)
