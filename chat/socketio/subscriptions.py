"""Which chat rooms each connection is in, kept in the store from its first change on.

That it began in the lobby, or not, its pid says. A change is kept before its client is told of it, so that whatever was
acknowledged holds after a restart.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from ..rooms.hub import Hub
from ..rooms.member import Member
from ..store.history import StoreUnavailable
from ..store.io_sessions import IoSession, IoSessions
from .connection import Connection
from .recovery import Recovery, Subscriptions
from .sessions import Session, connection_of

log = logging.getLogger("chat")

#: Seconds between two times that those who went are forgotten; and milliseconds after which what a process that was
#: killed has left is dropped. Each process renews its own long before.
INTERVAL = 60.0
KEPT_MS = 86_400_000
#: Intervals between two renewals.
RENEWALS = 60


class SubscriptionStore:
    """Keeps the rooms of one process's connections to the namespace `namespace`."""

    def __init__(self, hub: Hub, recovery: Recovery, sessions: IoSessions, namespace: str) -> None:
        self._hub = hub
        self._recovery = recovery
        self._sessions = sessions
        self._namespace = namespace
        #: Ids of connections that went for good.
        self._gone: list[str] = []
        self._looking_after = False

    @cached_property
    def _lock(self) -> Any:
        """Held while rows are written, so that the newest state of a connection is what stays."""
        return self._hub.reactor.driver.allocate_waiting_lock()

    # ---- changes -------------------------------------------------------------------------------------------------

    def note(self, comings: Iterable[tuple[Member, str, int]]) -> None:
        """Keep that members come into rooms, each to hear them from a seq on; outside the loop.

        Raises StoreUnavailable.
        """
        mine = [coming for coming in comings if isinstance(coming[0].wire, Session)]
        if mine and self._recovery.enabled:
            with self._lock:
                self._save(self._hub.reactor.ask(self._come, mine))

    def _come(self, comings: list[tuple[Member, str, int]]) -> list[Connection]:
        changed: dict[Connection, None] = {}
        for member, room, floor in comings:
            connection = connection_of(member, self._namespace)
            if connection is not None and connection.accepted:
                connection.seats[room] = floor
                changed[connection] = None
        return list(changed)

    def keep(self, connection: Connection) -> None:
        """Keep the rooms of a connection as they are now; outside the loop. Raises StoreUnavailable."""
        if self._recovery.enabled:
            with self._lock:
                self._save([connection])

    def _save(self, connections: list[Connection]) -> None:
        rows = self._hub.reactor.ask(_rows, connections)
        self._sessions.save(rows, self._recovery.origin)
        if rows and not self._looking_after:
            self._looking_after = True
            self._hub.reactor.driver.background(self._look_after)

    # ---- coming back, and going ----------------------------------------------------------------------------------

    def of(self, connection_id: str, user_id: str) -> dict[str, int] | None:
        """Return the rooms that are kept of a connection of any process: {name: seq from which on it hears it}.

        From then on it belongs to this one.
        """
        kept = self._sessions.get(connection_id)
        if kept is None or kept.user_id != user_id:
            return None
        self._sessions.adopt(connection_id, self._recovery.origin)
        return kept.rooms

    def are_others(self, connection_id: str) -> bool:
        """Tell whether a connection that was here has been on another process since, which keeps its rooms."""
        return self._sessions.owner(connection_id) not in (None, self._recovery.origin)

    def went(self, connection_id: str) -> None:
        """Keep nothing more of a connection that does not come back; in the loop."""
        self._gone.append(connection_id)

    def _look_after(self) -> None:
        driver, intervals = self._hub.reactor.driver, 0
        while True:
            driver.sleep(INTERVAL)
            gone, self._gone = self._gone, []
            try:
                self._sessions.forget(gone, self._recovery.origin)
                if intervals % RENEWALS == 0:
                    self._sessions.renew(self._recovery.origin, time.time_ns() // 1_000_000 - KEPT_MS)
                intervals += 1
            except StoreUnavailable:
                self._gone += gone
            except Exception:
                log.exception("sessions could not be looked after")


def seat_of(connection: Connection, member: Member, lobby: str) -> Subscriptions:
    """Return where a connection is, with what it knows of direct conversations; in the loop."""
    floors = member.floors or {}
    rooms = {
        name: member.entered + 1 if name == lobby else floors.get(name, connection.seats.get(name, 0))
        for name in member.rooms
    }
    direct = {name: floor for name, floor in floors.items() if name not in rooms}
    return Subscriptions(rooms, direct, connection.kept)


def _rows(connections: list[Connection]) -> list[IoSession]:
    rows = []
    for connection in connections:
        if connection.identity is not None:
            connection.kept = True
            rows.append(IoSession(connection.id, connection.identity.id, dict(connection.seats)))
    return rows
