"""The chat rooms of each connection, kept in the store from their first change on.

The pid says whether a connection began in the lobby. A change is stored before it is acknowledged, so it holds after a
restart.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..rooms.hub import Hub
from ..rooms.member import Member
from ..store.history import StoreUnavailable
from ..store.io_values import IoSession
from .connection import Connection
from .recovery import Recovery, Subscriptions
from .sessions import Session, connection_of

if TYPE_CHECKING:
    from ..store.io_sessions import IoSessions

log = logging.getLogger("flask_chat")

#: Seconds between two rounds of maintenance: rows of ended connections are deleted.
INTERVAL = 60.0
#: Rounds between two renewals of this process's rows, and milliseconds after which a row that was not renewed is
#: deleted: its process was killed.
RENEW_EVERY = 60
KEPT_MS = 86_400_000
#: Milliseconds by which the store's clock may run faster or slower than this machine's between two renewals. If they
#: differ by more, it was set: the other processes' rows look too old until they have renewed them.
MAX_DRIFT_MS = 600_000


class SubscriptionStore:
    """Stores the rooms of one process's connections to the namespace `namespace`."""

    def __init__(self, hub: Hub, recovery: Recovery, sessions: IoSessions, namespace: str) -> None:
        self._hub = hub
        self._recovery = recovery
        self._sessions = sessions
        self._namespace = namespace
        #: Ids of connections that cannot be resumed any more.
        self._forgotten: list[str] = []
        self._is_maintained = False
        #: The store's clock less monotonic time in ms, at the last renewal.
        self._clock_offset: float | None = None

    @cached_property
    def _lock(self) -> Any:
        """Held while rows are written, so that the newest state of a connection is written last."""
        return self._hub.reactor.driver.allocate_blocking_lock()

    # ---- changes -------------------------------------------------------------------------------------------------

    def save_joins(self, joins: Iterable[tuple[Member, str, int]]) -> None:
        """Store that members join rooms: (member, room, first seq delivered live); outside the loop.

        Raises StoreUnavailable.
        """
        ours = [join for join in joins if isinstance(join[0].wire, Session)]
        if ours and self._recovery.enabled:
            with self._lock:
                self._save(self._hub.reactor.call_and_wait(self._add, ours))

    def _add(self, joins: list[tuple[Member, str, int]]) -> list[Connection]:
        changed: dict[Connection, None] = {}
        for member, room, floor in joins:
            connection = connection_of(member, self._namespace)
            if connection is not None and connection.accepted:
                connection.subscriptions[room] = floor
                changed[connection] = None
        return list(changed)

    def save(self, connection: Connection) -> None:
        """Store the rooms of a connection as they are now; outside the loop. Raises StoreUnavailable."""
        if self._recovery.enabled:
            with self._lock:
                self._save([connection])

    def _save(self, connections: list[Connection]) -> None:
        rows = self._hub.reactor.call_and_wait(_rows, connections)
        self._sessions.save(rows, self._recovery.origin)
        if rows and not self._is_maintained:
            self._is_maintained = True
            self._hub.reactor.driver.background(self._maintain)

    # ---- resumed and ended connections ---------------------------------------------------------------------------

    def adopt(self, connection_id: str, user_id: str) -> dict[str, int] | None:
        """Return the stored rooms of a connection of any process, {name: first seq delivered live}.

        From then on the row belongs to this process.
        """
        row = self._sessions.get(connection_id)
        if row is None or row.user_id != user_id:
            return None
        self._sessions.take_over(connection_id, self._recovery.origin)
        return row.rooms

    def is_adopted_elsewhere(self, connection_id: str) -> bool:
        """Tell whether another process has stored the rooms of a connection since it was on this one."""
        return self._sessions.owner(connection_id) not in (None, self._recovery.origin)

    def forget(self, connection_id: str) -> None:
        """Have the row of a connection deleted that cannot be resumed any more; in the loop."""
        self._forgotten.append(connection_id)

    def _maintain(self) -> None:
        driver, intervals = self._hub.reactor.driver, 0
        while True:
            driver.sleep(INTERVAL)
            forgotten, self._forgotten = self._forgotten, []
            try:
                self._sessions.delete(forgotten, self._recovery.origin)
                if intervals % RENEW_EVERY == 0:
                    self._renew()
                intervals += 1
            except StoreUnavailable:
                self._forgotten += forgotten
            except Exception:
                log.exception("rows of Socket.IO sessions could not be maintained")

    def _renew(self) -> None:
        """Renew this process's rows, and delete the rows of killed ones; those only while no clock was set."""
        store_ms, before = self._sessions.renew(self._recovery.origin), self._clock_offset
        self._clock_offset = store_ms - time.monotonic() * 1000
        if before is not None and abs(self._clock_offset - before) < MAX_DRIFT_MS:
            self._sessions.delete_left(store_ms - KEPT_MS)


def subscriptions_of(connection: Connection, member: Member, lobby: str) -> Subscriptions:
    """Return the rooms of a connection, and the floors of its direct conversations; in the loop."""
    floors = member.floors or {}
    rooms = {
        name: member.entered + 1 if name == lobby else floors.get(name, connection.subscriptions.get(name, 0))
        for name in member.rooms
    }
    direct = {name: floor for name, floor in floors.items() if name not in rooms}
    return Subscriptions(rooms, direct, connection.is_stored)


def _rows(connections: list[Connection]) -> list[IoSession]:
    rows = []
    for connection in connections:
        if connection.identity is not None:
            connection.is_stored = True
            rows.append(IoSession(connection.id, connection.identity.id, dict(connection.subscriptions)))
    return rows
