"""The heartbeat: this process announces that it is alive, and expires peers whose lease is over. In the loop."""

from __future__ import annotations

from ..rooms.hub import Hub
from .broker.base import Broker
from .presence import Presence
from .presence_publisher import PresencePublisher
from .presence_sync import PresenceSync

#: Heartbeats in one lease.
BEATS_PER_LEASE = 6
#: Part of the lease after which a silent peer expires. Noticing it may take another two heartbeats, so that every
#: process knows before the lease is over.
EXPIRY_SHARE = 0.6


class Heartbeat:
    """Runs from the broker's first connection on, for as long as the process lives."""

    def __init__(
        self, hub: Hub, broker: Broker, presence: Presence, publisher: PresencePublisher, sync: PresenceSync
    ) -> None:
        self._hub, self._broker = hub, broker
        self._presence, self._publisher, self._sync = presence, publisher, sync
        self._lease = hub.settings.worker_lease
        self._interval = self._lease / BEATS_PER_LEASE
        self._started = False
        self._last_beat = 0.0

    def connected(self) -> None:
        """Synchronise with all peers, and start the heartbeat if this is the first connection."""
        self._sync.restart()
        self._publisher.repeat_all_versions()
        if not self._started:
            self._started = True
            self._beat()
        else:
            self._publish()
        self._sync.request_rosters([room.name for room in self._hub.rooms])

    def disconnected(self) -> None:
        """Keep all peers until the broker is connected again: they may be well."""
        self._presence.renew_all_leases(self._hub.now)

    def _beat(self) -> None:
        now, before = self._hub.now, self._last_beat
        self._last_beat = now
        if not self._broker.is_up or now - before > 2 * self._interval:
            # This process was suspended or cut off: it has yet to read what peers published meanwhile.
            self._presence.renew_all_leases(now)
        if self._broker.is_up:
            self._publish()
            self._expire_peers(now)
        self._hub.reactor.call_later(self._interval, self._beat)

    def _publish(self) -> None:
        self._publisher.publish_heartbeat()
        self._sync.compare_next()

    def _expire_peers(self, now: float) -> None:
        # Time counts only while anything arrives, be it this process's own heartbeat.
        last_received = now - self._broker.idle_seconds()
        for origin in self._presence.not_seen_since(last_received - self._lease * EXPIRY_SHARE):
            self._sync.expire_peer(origin)
