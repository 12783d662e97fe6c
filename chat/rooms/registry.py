"""The rooms that are open on this worker, and their members."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..config import Settings
from ..loop.reactor import Reactor
from ..loop.stats import Stats
from ..wire.codec import Codec
from ..wire.envelope import Identity
from .access import LOBBY
from .member import Member
from .peers import NO_PEERS, Peers
from .room import Audience, JoinBuffer, Room
from .roster import Roster
from .roster_push import RosterPush
from .seq_gate import SeqGate
from .users import ConnectedUsers

#: Shared by all members that are in the lobby alone.
_LOBBY_ALONE = (LOBBY,)


class RoomRegistry:
    """Opens and closes rooms, and lets members join and leave them. In the loop, but for `users_in`.

    `lock` is held while rooms or their members change. `on_pending(room)` is called when a room has something to flush.
    """

    def __init__(
        self,
        settings: Settings,
        reactor: Reactor,
        lock: Any,
        stats: Stats,
        users: ConnectedUsers,
        on_pending: Callable[[Room], None],
    ) -> None:
        self._settings = settings
        self._reactor = reactor
        self._lock = lock
        self._stats = stats
        self._users = users
        self._on_pending = on_pending
        self._rooms: dict[str, Room] = {}
        self._pushes: dict[str, RosterPush] = {}
        #: Names of the rooms that a member is still joining.
        self._joining: dict[Member, tuple[str, ...]] = {}
        self.peers: Peers = NO_PEERS
        self.lobby = self.open(LOBBY, None if settings.is_ephemeral(LOBBY) else SeqGate(0))

    def __len__(self) -> int:
        return len(self._rooms)

    def __iter__(self) -> Iterator[Room]:
        return iter(list(self._rooms.values()))

    def get(self, name: str | None) -> Room | None:
        """Return the open room of that name; the lobby for None."""
        return self.lobby if name is None else self._rooms.get(name)

    # ---- open and close ----------------------------------------------------------------------------------------

    def open(self, name: str, gate: SeqGate | None) -> Room:
        """Return the open room of that name, opened now if need be; without a gate it is ephemeral."""
        room = self._rooms.get(name)
        if room is not None:
            return room
        settings = self._settings
        roster = Roster(name, settings.roster_grace, settings.roster_bytes_per_s)
        room = Room(name, roster, gate, self._on_pending, settings.replay_max)
        with self._lock:
            self._rooms[name] = room
        self._pushes[name] = RosterPush(
            room, self._reactor, self._lock, settings.roster_bytes_per_s, self._stats, self.close_if_empty
        )
        self.peers.room_opened(room)
        return room

    def close_if_empty(self, room: Room) -> None:
        """Close `room` if it is empty; the lobby stays open."""
        if room.empty and room is not self.lobby and not room.pending and self._rooms.get(room.name) is room:
            with self._lock:
                del self._rooms[room.name]
            del self._pushes[room.name]
            self.peers.room_closed(room)

    def add_absent(self, names: Iterable[str], codec: Codec) -> None:
        """Keep these open rooms open for a disconnected client, and encode their messages in `codec`."""
        for room in map(self._rooms.__getitem__, names):
            room.absent += 1
            room.audiences.setdefault(codec, Audience())

    def remove_absent(self, names: Iterable[str]) -> None:
        """Undo one `add_absent`."""
        for room in map(self._rooms.__getitem__, names):
            room.absent -= 1
            self.close_if_empty(room)

    # ---- join and leave ----------------------------------------------------------------------------------------

    def start_joining(self, client: Member, room: Room) -> JoinBuffer:
        """Buffer the messages of `room` for `client` until it has been sent what it missed."""
        buffer = room.joining[client] = JoinBuffer()
        self._joining[client] = (*self._joining.get(client, ()), room.name)
        return buffer

    def stop_joining(self, client: Member, room: Room) -> None:
        """Discard the buffer of a joining client, if it has one."""
        if room.joining.pop(client, None) is not None:
            rest = tuple(name for name in self._joining.pop(client) if name != room.name)
            if rest:
                self._joining[client] = rest

    def join(self, client: Member, room: Room, upto: int | None = None) -> None:
        """Deliver the messages of `room` to `client` from now on.

        `upto` is the seq after which the client's membership begins, where it has been sent later messages already.
        """
        self._flush(room)
        identity = self._identity_of(client)
        with self._lock:
            room.add(client)
            is_first = room.roster.join(identity)
        if is_first:
            self.peers.user_joined(room, identity)
        self._note_joined(client, room, room.last_seq if upto is None else upto)
        self._pushes[room.name].schedule()

    def _note_joined(self, client: Member, room: Room, upto: int) -> None:
        if room is self.lobby:
            client.entered = upto
            client.rooms = (*client.rooms, LOBBY) if client.rooms else _LOBBY_ALONE
            return
        client.floors = client.floors or {}
        client.floors[room.name] = upto + 1
        client.rooms = (*client.rooms, room.name)

    def leave(self, client: Member, room: Room) -> bool:
        """Stop delivering `room` to `client`; False where it is no member."""
        if client not in room or client.user is None:
            return False
        self._flush(room)
        self._remove(client, self._identity_of(client), room)
        client.rooms = tuple(name for name in client.rooms if name != room.name)
        if client.floors:
            client.floors.pop(room.name, None)
        return True

    def leave_all(self, client: Member, identity: Identity) -> None:
        """Remove a disconnected client of the user `identity` from all its rooms, and from those it is joining."""
        for name in client.rooms:
            self._remove(client, identity, self._rooms[name])
        client.rooms = ()
        for room in self._take_joining(client):
            del room.joining[client]
            self.close_if_empty(room)

    def replace(self, old: Member, new: Member) -> None:
        """Put `new` in the place of `old` in all rooms."""
        with self._lock:
            for name in old.rooms:
                self._rooms[name].replace(old, new)
                self._pushes[name].replace(old, new)
        new.rooms, new.entered, new.floors = old.rooms, old.entered, old.floors
        for room in self._take_joining(old):
            room.joining[new] = room.joining.pop(old)
            self._joining[new] = (*self._joining.get(new, ()), room.name)

    def _remove(self, client: Member, identity: Identity, room: Room) -> None:
        with self._lock:
            room.remove(client)
            is_last = room.roster.leave(identity, self._reactor.now)
        if is_last:
            self.peers.user_left(room, identity)
        self._pushes[room.name].schedule()
        if room.empty:  # no member is left to push a roster to, so no push will close it
            self._reactor.call_soon(self.close_if_empty, room)

    def _take_joining(self, client: Member) -> list[Room]:
        return [self._rooms[name] for name in self._joining.pop(client, ())]

    def _identity_of(self, client: Member) -> Identity:
        # Another connection of the user may have brought a newer name.
        user = self._users.get(client.user.id) if client.user is not None else None
        assert user is not None
        return user.identity

    def _flush(self, room: Room) -> None:
        # Messages from before a change of the members go to the members of that time.
        if room.pending:
            room.flush(self._stats)

    # ---- rosters -----------------------------------------------------------------------------------------------

    def send_roster(self, client: Member, room: Room) -> None:
        """Send `client`, a member of `room`, the room's roster."""
        client.enqueue(room.roster.list_for(client.wire.codec).frame())
        room.note_roster_sent(client)

    def change_roster(self, room: Room, change: Callable[[Roster], None]) -> None:
        """Apply what a peer has published of an open room's users, and push it to the members."""
        with self._lock:
            change(room.roster)
        self._pushes[room.name].schedule()

    def users_in(self, name: str) -> list[Identity]:
        """Return the users in an open room; from any thread."""
        with self._lock:
            room = self._rooms.get(name)
            return list(room.roster) if room is not None else []
