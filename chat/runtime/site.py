"""What the runtime needs of the app that it serves: its guard, its store, its hooks, its link to other workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ..cluster.broker.base import Broker
from ..cluster.broker.memory import MemoryBroker
from ..identity.guard import Guard
from ..loop.drivers import Driver
from ..socketio.registry import Registry
from ..socketio.resume import IoStore
from ..store.history import Draft, History, Result
from ..wire.envelope import Identity

if TYPE_CHECKING:
    from ..store.control import Control


class SiteHooks(Protocol):
    """The site's code and what is written for it. Methods may block: the runtime calls them outside ticks."""

    #: The receivers of each kind of signal, by kind: connect, disconnect, message. A signal without any is not sent.
    receivers: Mapping[str, Mapping[Any, Any]]

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return `function(*args)`, run in an app context."""

    def announce(self, kind: str, **facts: Any) -> None:
        """Send the signal of that kind in an app context."""

    def ensure_users(self, *identities: Identity) -> None:
        """Create rows in the users' table for those who have none."""

    def ensure_site_user(self, identity: Identity) -> None:
        """Create a row for a user whose token the site issued itself; do nothing where all tokens are the chat's."""

    def mark_read(self, user: Identity, room: str, seq: int) -> dict[str, Any]:
        """Store a read mark, send it to the user's sockets, and return it; ChatError where `user` may not."""


@dataclass(frozen=True, kw_only=True)
class StoreAccess:
    """The tables that the runtime reads and writes; all methods block."""

    control: Control
    history: History
    #: `History.append`, run where it does not block the event loop.
    commit: Callable[[list[Draft], int], list[Result]]
    #: Socket.IO's sessions and missed events; None where they are kept in this process alone.
    socketio: IoStore | None = None


@dataclass(frozen=True, kw_only=True)
class WorkerLinks:
    """How this worker reaches the site's other workers."""

    #: `make_broker(driver, origin)` returns the broker of the worker with that number.
    make_broker: Callable[[Driver, int], Broker] = MemoryBroker
    #: Returns a secret that only this site's workers know; those of one machine find each other by it.
    secret: Callable[[], bytes] = lambda: os.urandom(32)


@dataclass(frozen=True, kw_only=True)
class Site:
    """The app that a runtime serves."""

    guard: Guard
    hooks: SiteHooks
    store: StoreAccess
    #: The site's own Socket.IO handlers.
    events: Registry
    links: WorkerLinks = field(default_factory=WorkerLinks)
