"""What this process knows of its peers: their users, rooms and addresses. In the loop, without I/O.

A peer publishes numbered deltas: each contains the version before it. A delta whose predecessor is missing is not
applied; the caller then requests a snapshot. A peer that is not seen for longer than its lease counts as dead, and its
users as disconnected.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..identity.addressing import NameIndex
from ..wire.envelope import Identity


class PeerState:
    """What is known of one peer."""

    __slots__ = ("last_seen", "version", "users", "addresses", "rooms")

    def __init__(self, now: float) -> None:
        #: When its last bus message arrived, in monotonic seconds.
        self.last_seen = now
        #: Version of its counts; None before the first snapshot.
        self.version: int | None = None
        #: {user's id: (identity, sockets)}
        self.users: dict[str, tuple[Identity, int]] = {}
        #: {address: sockets}
        self.addresses: dict[str, int] = {}
        #: Its part of the rosters of rooms that are open in this process, by name.
        self.rooms: dict[str, PeerRoom] = {}


class PeerRoom:
    """A peer's part of one room's roster, and its version."""

    __slots__ = ("version", "users")

    def __init__(self) -> None:
        self.version = 0
        self.users: dict[str, Identity] = {}


class RosterDelta(NamedTuple):
    """What changes in a room's roster."""

    joined: list[Identity]
    #: Ids of users.
    left: list[str]
    #: Users who were in the room before, with another name.
    renamed: Sequence[Identity] = ()


class Presence:
    """The known peers, by the number of the process (`origin`)."""

    def __init__(self) -> None:
        self._peers: dict[int, PeerState] = {}
        #: Sums over all peers, and users by name.
        self._sockets: Counter[str] = Counter()
        self._addresses: Counter[str] = Counter()
        self._names = NameIndex()

    def __len__(self) -> int:
        return len(self._peers)

    def __contains__(self, origin: object) -> bool:
        return origin in self._peers

    def origins(self) -> list[int]:
        """Return the numbers of the known peers."""
        return list(self._peers)

    # ---- leases ----------------------------------------------------------------------------------------------------

    def renew_lease(self, origin: int, now: float) -> PeerState:
        """Note that a peer is alive, and return its state; an unknown peer is added."""
        peer = self._peers.get(origin)
        if peer is None:
            peer = self._peers[origin] = PeerState(now)
        peer.last_seen = now
        return peer

    def renew_all_leases(self, now: float) -> None:
        """Start every peer's lease anew: this process may have been unable to receive anything."""
        for peer in self._peers.values():
            peer.last_seen = now

    def last_seen(self, origin: int) -> float | None:
        """Return when a peer's last bus message arrived; None for an unknown peer."""
        peer = self._peers.get(origin)
        return peer.last_seen if peer is not None else None

    def not_seen_since(self, then: float) -> list[int]:
        """Return the peers whose last bus message arrived before `then`."""
        return [origin for origin, peer in self._peers.items() if peer.last_seen < then]

    def remove(self, origin: int) -> dict[str, list[str]]:
        """Remove a peer and return {room: ids of its users there}; {} for an unknown peer."""
        peer = self._peers.pop(origin, None)
        if peer is None:
            return {}
        self._set_counts(
            peer, [(user, 0) for user, _ in peer.users.values()], dict.fromkeys(peer.addresses, 0)
        )
        return {name: list(room.users) for name, room in peer.rooms.items()}

    # ---- counts of sockets -----------------------------------------------------------------------------------------

    def sockets_of(self, user_id: str) -> int:
        """Return how many sockets a user has on all peers."""
        return self._sockets[user_id]

    def sockets_from(self, address: str) -> int:
        """Return how many sockets an address has on all peers."""
        return self._addresses[address]

    def named(self, username: str) -> list[Identity]:
        """Return the users with that name, in any case and compatible form, who are connected to a peer."""
        return self._names.find(username)

    def find_user(self, user_id: str) -> Identity | None:
        """Return the user of that id who is connected to a peer."""
        for peer in self._peers.values():
            if user_id in peer.users:
                return peer.users[user_id][0]
        return None

    def apply_count_delta(
        self,
        peer: PeerState,
        before: int,
        version: int,
        users: list[tuple[Identity, int]],
        addresses: dict[str, int],
    ) -> bool:
        """Set the changed counts of a peer; return False, and change nothing, if an earlier delta is missing."""
        if peer.version != before:
            return False
        peer.version = version
        self._set_counts(peer, users, addresses)
        return True

    def apply_count_snapshot(
        self,
        peer: PeerState,
        version: int,
        users: list[tuple[Identity, int]],
        addresses: dict[str, int],
    ) -> None:
        """Replace all counts of a peer."""
        gone = peer.users.keys() - {user.id for user, _ in users}
        self._set_counts(
            peer,
            [*users, *((peer.users[user_id][0], 0) for user_id in gone)],
            {**dict.fromkeys(peer.addresses, 0), **addresses},
        )
        peer.version = version

    def _set_counts(
        self, peer: PeerState, users: list[tuple[Identity, int]], addresses: dict[str, int]
    ) -> None:
        for user, count in users:
            known, before = peer.users.pop(user.id, (user, 0))
            _add(self._sockets, user.id, count - before)
            if known != user or not self._sockets[user.id]:
                self._names.discard(known)
            if count:
                peer.users[user.id] = user, count
                self._names.add(user)
        for address, count in addresses.items():
            _add(self._addresses, address, count - peer.addresses.pop(address, 0))
            if count:
                peer.addresses[address] = count

    # ---- rosters of rooms ------------------------------------------------------------------------------------------

    def room_versions(self, origin: int) -> dict[str, int]:
        """Return {room: version} of the rosters that are known of a peer."""
        peer = self._peers.get(origin)
        return {name: room.version for name, room in peer.rooms.items()} if peer is not None else {}

    @staticmethod
    def room_version(peer: PeerState, room: str) -> int:
        """Return the version of a peer's roster of a room; 0 if none is known."""
        known = peer.rooms.get(room)
        return known.version if known is not None else 0

    @staticmethod
    def apply_roster_delta(
        peer: PeerState,
        room: str,
        before: int,
        version: int,
        joined: Iterable[Identity],
        left: Iterable[str],
    ) -> RosterDelta | None:
        """Apply a delta and return what it changed; return None, and change nothing, if an earlier one is missing."""
        known = peer.rooms.setdefault(room, PeerRoom())
        if known.version != before:
            return None
        known.version = version
        new, renamed = _compare(known.users, joined)
        known.users.update((user.id, user) for user in (*new, *renamed))
        return RosterDelta(new, [user_id for user_id in left if known.users.pop(user_id, None)], renamed)

    @staticmethod
    def apply_roster_snapshot(
        peer: PeerState, room: str, version: int, users: Iterable[Identity]
    ) -> RosterDelta:
        """Replace a peer's roster of a room and return what that changed."""
        known = peer.rooms.setdefault(room, PeerRoom())
        before, known.users = known.users, {user.id: user for user in users}
        known.version = version
        new, renamed = _compare(before, known.users.values())
        return RosterDelta(new, [user_id for user_id in before if user_id not in known.users], renamed)

    def forget_room(self, room: str) -> None:
        """Forget the peers' rosters of a room that this process has closed."""
        for peer in self._peers.values():
            peer.rooms.pop(room, None)


def _compare(before: dict[str, Identity], now: Iterable[Identity]) -> tuple[list[Identity], list[Identity]]:
    """Return the users of `now` who are not in `before`, and those who have another name there."""
    new, renamed = [], []
    for user in now:
        if user.id not in before:
            new.append(user)
        elif before[user.id] != user:
            renamed.append(user)
    return new, renamed


def _add(counter: Counter[str], key: str, number: int) -> None:
    counter[key] += number
    if not counter[key]:
        del counter[key]
