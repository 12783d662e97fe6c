"""Publishes this process's own presence to its peers: deltas, versions and, on request, snapshots. In the loop.

Changes are gathered for a moment and published as one delta with a new version. Each heartbeat repeats versions, so
that a peer notices a lost delta even if no other follows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from ..rooms.hub import Hub
from ..rooms.room import Room
from ..wire.envelope import Identity
from . import bus_messages
from .bus_messages import identities, user_rows
from .requests import Handler, Requests

#: Seconds for which joins, leaves and counts are gathered.
GATHER_SECONDS = 0.1
#: Rooms whose versions one heartbeat repeats.
MAX_VERSIONS = 500
#: The request for a room's roster, by a process that has not opened the room.
ROSTER = "who"


class PresencePublisher:
    """This process's rosters and counts, as published; `publish(channel, kind, *parts)` sends a bus message."""

    def __init__(self, hub: Hub, publish: Callable[..., None], requests: Requests) -> None:
        self._hub, self._publish, self._requests = hub, publish, requests
        self._numbers = itertools.count(1)
        #: Changes to publish: {room: {user's id: identity, or None for a user who left}}, and counts.
        self._moves: dict[str, dict[str, Identity | None]] = {}
        self._counts: dict[str, tuple[Identity, int]] = {}
        self._addresses: dict[str, int] = {}
        self._gathering = False
        #: The published version of each room, and of the counts.
        self._versions: dict[str, int] = {}
        self._count_version = 0
        #: Rooms whose versions the next heartbeats repeat, before they start again with the first.
        self._unrepeated: list[str] = []
        requests.functions[ROSTER] = self._local_roster
        self.handlers: dict[str, Handler] = {
            bus_messages.SNAPSHOT_REQUEST: self._handle_request,
            bus_messages.KNOWN_VERSIONS: self._handle_known_versions,
        }

    # ---- changes in this process -----------------------------------------------------------------------------------

    def user_joined(self, room: Room, user: Identity) -> None:
        """Publish soon that a user's first socket of this process has joined a room."""
        self._moves.setdefault(room.name, {})[user.id] = user
        self._publish_soon()

    def user_left(self, room: Room, user: Identity) -> None:
        """Publish soon that a user's last socket of this process has left a room."""
        self._moves.setdefault(room.name, {})[user.id] = None
        self._publish_soon()

    def counts_changed(self, user: Identity, sockets: int, address: str, from_address: int) -> None:
        """Publish soon how many sockets a user, and an address, have in this process."""
        self._counts[user.id] = user, sockets
        if address:
            self._addresses[address] = from_address
        self._publish_soon()

    def room_closed(self, room: Room) -> None:
        """Forget the version of a room that this process has closed."""
        if room.name not in self._moves:
            self._versions.pop(room.name, None)

    def _publish_soon(self) -> None:
        if not self._gathering:
            self._gathering = True
            self._hub.reactor.call_later(GATHER_SECONDS, self.publish_pending)

    # ---- deltas and versions ---------------------------------------------------------------------------------------

    def publish_pending(self) -> None:
        """Publish the gathered changes now."""
        self._gathering = False
        moves, self._moves = self._moves, {}
        for name, changes in moves.items():
            joined = [user for user in changes.values() if user is not None]
            left = [user_id for user_id, user in changes.items() if user is None]
            self._publish_roster_delta(name, joined, left)
        if self._counts:
            self._publish_count_delta()

    def _publish_roster_delta(self, name: str, joined: list[Identity], left: list[str]) -> None:
        before, version = self._versions.get(name, 0), next(self._numbers)
        self._versions[name] = version
        channel = bus_messages.room_channel(name)
        self._publish(channel, bus_messages.ROSTER_DELTA, before, version, user_rows(joined), left)
        if self._hub.rooms.get(name) is None:
            del self._versions[name]

    def _publish_count_delta(self) -> None:
        before, self._count_version = self._count_version, next(self._numbers)
        rows = [(user.id, user.username, count) for user, count in self._counts.values()]
        self._publish(
            bus_messages.ALL, bus_messages.COUNT_DELTA, before, self._count_version, rows, self._addresses
        )
        self._counts, self._addresses = {}, {}

    def publish_heartbeat(self) -> None:
        """Publish that this process is alive, and the versions of its counts and of the next rooms."""
        self._publish(bus_messages.ALL, bus_messages.HEARTBEAT, self._count_version)
        if not self._unrepeated:
            self._unrepeated = list(self._versions)
        rooms, self._unrepeated = self._unrepeated[:MAX_VERSIONS], self._unrepeated[MAX_VERSIONS:]
        for name in rooms:
            if name in self._versions:
                self._publish(
                    bus_messages.room_channel(name), bus_messages.ROSTER_VERSION, self._versions[name]
                )

    def repeat_all_versions(self) -> None:
        """Start again with the first room at the next heartbeat: what was published may be lost."""
        self._unrepeated = []

    # ---- snapshots -------------------------------------------------------------------------------------------------

    def _handle_request(self, origin: int, channel: str, parts: list[Any]) -> None:
        self._publish_snapshots(origin, parts[0], is_for_all=channel == bus_messages.ALL)

    def _handle_known_versions(self, origin: int, channel: str, parts: list[Any]) -> None:
        self.publish_pending()
        wrong = [name for name, version in parts[0].items() if self._versions.get(name, 0) != version]
        self._publish_snapshots(origin, wrong, is_for_all=channel == bus_messages.ALL)

    def _publish_snapshots(self, origin: int, names: list[str | None], is_for_all: bool) -> None:
        # Pending changes first: otherwise the peer would apply them once more after the snapshot.
        self.publish_pending()
        back = bus_messages.process_channel(origin)
        for name in names:
            room = self._hub.rooms.get(name) if name is not None else None
            if name is None:
                self._publish_count_snapshot(back)
            elif room is not None and (not is_for_all or name in self._versions):
                version, rows = self._versions.get(name, 0), user_rows(room.roster.local_users())
                self._publish(back, bus_messages.ROSTER_SNAPSHOT, name, version, rows)
            elif not is_for_all:
                self._publish(back, bus_messages.ROSTER_SNAPSHOT, name, 0, [])

    def _publish_count_snapshot(self, back: str) -> None:
        users, addresses = self._hub.users.counts()
        rows = [(user.id, user.username, count) for user, count in users]
        self._publish(back, bus_messages.COUNT_SNAPSHOT, self._count_version, rows, addresses)

    # ---- a roster without a subscription ---------------------------------------------------------------------------

    def _local_roster(self, name: str) -> list[tuple[str, str]]:
        room = self._hub.rooms.get(name)
        return user_rows(room.roster.local_users()) if room is not None else []

    def fetch_roster(self, room: str) -> list[Identity]:
        """Return the users whom responding peers have in a room; never call it from a tick, for it waits."""
        rows = itertools.chain.from_iterable(self._requests.call(None, ROSTER, room))
        return list({user.id: user for user in identities(rows)}.values())
