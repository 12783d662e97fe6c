"""Keeps this process's picture of its peers current: applies their deltas and requests what is missing. In the loop.

presence.py holds the picture; presence_publisher.py publishes this process's own part of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..rooms.hub import Hub
from ..rooms.room import Room
from ..wire.envelope import Identity
from . import bus_messages
from .bus_messages import identities
from .presence import PeerState, Presence, RosterDelta
from .requests import Handler

#: Rooms that one request names.
MAX_REQUESTED = 200
#: Peers that are remembered after their end.
MAX_GONE = 1_000


class PresenceSync:
    """Handles what peers publish about their presence; `publish(channel, kind, *parts)` sends a bus message."""

    def __init__(self, hub: Hub, publish: Callable[..., None], presence: Presence) -> None:
        self._hub, self._publish, self._presence = hub, publish, presence
        #: (peer, room, or None for its counts): snapshots requested since the last heartbeat.
        self._requested: set[tuple[int, str | None]] = set()
        #: Peers that the next heartbeats send the known versions to, before they start again with the first.
        self._uncompared: list[int] = []
        #: {peer: when it was found to be gone}
        self._gone: dict[int, float] = {}
        self.handlers: dict[str, Handler] = {
            bus_messages.HEARTBEAT: self._handle_heartbeat,
            bus_messages.GREETING: self._handle_greeting,
            bus_messages.LEAVE: self._handle_leave,
            bus_messages.ROSTER_DELTA: self._handle_roster_delta,
            bus_messages.ROSTER_VERSION: self._handle_roster_version,
            bus_messages.ROSTER_SNAPSHOT: self._handle_roster_snapshot,
            bus_messages.COUNT_DELTA: self._handle_count_delta,
            bus_messages.COUNT_SNAPSHOT: self._handle_count_snapshot,
        }

    # ---- peers -----------------------------------------------------------------------------------------------------

    def restart(self) -> None:
        """Greet all peers and compare versions with them: bus messages may have been lost for a while."""
        self._presence.renew_all_leases(self._hub.now)
        self._requested.clear()
        self._publish(bus_messages.ALL, bus_messages.GREETING)
        for origin in self._presence.origins():
            self._publish_known_versions(origin)

    def compare_next(self) -> None:
        """Compare versions with the next peer, and allow requests that got no response to be repeated."""
        self._requested.clear()
        if not self._uncompared:
            self._uncompared = self._presence.origins()
        for origin in self._uncompared[:1]:
            self._publish_known_versions(origin)
        del self._uncompared[:1]

    def expire_peer(self, origin: int, at_once: bool = True) -> None:
        """Remove a peer and its users: they leave rosters `at_once`, or after the grace period for a reconnect."""
        if len(self._gone) >= MAX_GONE:
            del self._gone[next(iter(self._gone))]
        self._gone[origin] = self._hub.now
        for name, user_ids in self._presence.remove(origin).items():
            self._change_roster(name, RosterDelta([], user_ids), at_once)

    def served_recently(self, origin: int) -> bool:
        """Return whether a process is alive, or was less than CHAT_IO_RECOVERY_SECONDS ago."""
        since = self._hub.now - self._hub.settings.io_recovery_seconds
        return origin in self._presence or self._gone.get(origin, since) > since

    def _handle_heartbeat(self, origin: int, channel: str, parts: list[Any]) -> None:
        is_new = origin not in self._presence
        peer = self._renew_lease(origin)
        if is_new:
            self._request_snapshots(origin, [room.name for room in self._hub.rooms])
        if peer.version != parts[0]:
            self._request_snapshots(origin, [None])

    def _handle_greeting(self, origin: int, channel: str, parts: list[Any]) -> None:
        self._renew_lease(origin)
        self._publish_known_versions(origin)

    def _handle_leave(self, origin: int, channel: str, parts: list[Any]) -> None:
        self.expire_peer(origin, at_once=False)

    def _renew_lease(self, origin: int) -> PeerState:
        return self._presence.renew_lease(origin, self._hub.now)

    # ---- rosters ---------------------------------------------------------------------------------------------------

    def _handle_roster_delta(self, origin: int, channel: str, parts: list[Any]) -> None:
        name, (before, version, joined, left) = channel[2:], parts
        peer = self._renew_lease(origin)
        if self._hub.rooms.get(name) is None:
            return
        delta = self._presence.apply_roster_delta(peer, name, before, version, identities(joined), left)
        if delta is None:
            self._request_snapshots(origin, [name])
        else:
            self._change_roster(name, delta)

    def _handle_roster_version(self, origin: int, channel: str, parts: list[Any]) -> None:
        name, peer = channel[2:], self._renew_lease(origin)
        if self._hub.rooms.get(name) is not None and self._presence.room_version(peer, name) != parts[0]:
            self._request_snapshots(origin, [name])

    def _handle_roster_snapshot(self, origin: int, channel: str, parts: list[Any]) -> None:
        name, version, users = parts
        self._requested.discard((origin, name))
        if self._hub.rooms.get(name) is not None:
            peer = self._renew_lease(origin)
            delta = self._presence.apply_roster_snapshot(peer, name, version, identities(users))
            self._change_roster(name, delta)

    def _change_roster(self, name: str, delta: RosterDelta, at_once: bool = False) -> None:
        room = self._hub.rooms.get(name)
        if room is None or not any(delta):
            return
        now = self._hub.now

        def change(roster: Any) -> None:
            for user in delta.joined:
                roster.join_on_peer(user)
            for user in delta.renamed:
                roster.rename_on_peer(user)
            for user_id in delta.left:
                roster.leave_on_peer(user_id, now, at_once)

        self._hub.rooms.change_roster(room, change)

    def room_closed(self, room: Room) -> None:
        """Forget the peers' rosters of a room that this process has closed."""
        self._presence.forget_room(room.name)

    # ---- counts ----------------------------------------------------------------------------------------------------

    def _handle_count_delta(self, origin: int, channel: str, parts: list[Any]) -> None:
        before, version, users, addresses = parts
        peer = self._renew_lease(origin)
        if not self._presence.apply_count_delta(peer, before, version, _counts(users), addresses):
            self._request_snapshots(origin, [None])

    def _handle_count_snapshot(self, origin: int, channel: str, parts: list[Any]) -> None:
        version, users, addresses = parts
        self._requested.discard((origin, None))
        self._presence.apply_count_snapshot(self._renew_lease(origin), version, _counts(users), addresses)

    # ---- requests for snapshots ------------------------------------------------------------------------------------

    def request_rosters(self, rooms: list[str]) -> None:
        """Request all peers' rosters of these rooms."""
        for start in range(0, len(rooms), MAX_REQUESTED):
            self._publish(
                bus_messages.ALL, bus_messages.SNAPSHOT_REQUEST, rooms[start : start + MAX_REQUESTED]
            )

    def _request_snapshots(self, origin: int, names: list[str | None]) -> None:
        """Request a peer's rosters, or (None) counts, except those requested since the last heartbeat."""
        wanted = [name for name in names if (origin, name) not in self._requested]
        self._requested.update((origin, name) for name in wanted)
        channel = bus_messages.process_channel(origin)
        for start in range(0, len(wanted), MAX_REQUESTED):
            self._publish(channel, bus_messages.SNAPSHOT_REQUEST, wanted[start : start + MAX_REQUESTED])

    def _publish_known_versions(self, origin: int) -> None:
        """Send a peer the versions that are known of its rooms: it does not repeat those of rooms it has closed."""
        known = list(self._presence.room_versions(origin).items())
        channel = bus_messages.process_channel(origin)
        for start in range(0, len(known), MAX_REQUESTED):
            self._publish(channel, bus_messages.KNOWN_VERSIONS, dict(known[start : start + MAX_REQUESTED]))


def _counts(rows: list[list[Any]]) -> list[tuple[Identity, int]]:
    return [(Identity(id, name), count) for id, name, count in rows]
