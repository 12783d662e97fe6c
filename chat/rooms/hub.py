"""The hub: all clients of one app in one process, the rooms they are in, and the flush that ends a tick."""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Any

from ..config import Settings
from ..loop.drivers import allocate_lock
from ..loop.reactor import Reactor
from ..loop.stats import Stats
from ..wire.codec import Codec
from ..wire.envelope import Identity
from ..wire.errors import ChatError, CloseCode
from ..wire.frame_parser import Parser
from .arrivals import Arrivals
from .client import READ_BYTES, Client, Taken
from .direct import DirectMessages
from .member import Member, Wire
from .peers import NO_PEERS, Peers
from .registry import RoomRegistry
from .room import Room
from .seq_gate import SeqGate
from .users import ConnectedUsers

Listener = Callable[[Member], None]


class Hub:
    """Owns the clients of one app in one process, and everything that they share.

    Its methods run in the reactor's loop, unless they say otherwise. One lock guards the sets that other threads read
    (rooms, their members and rosters): the loop holds it while it changes one, a thread while it copies one. Nothing
    yields while it is held.
    """

    def __init__(
        self,
        settings: Settings,
        log: Callable[[str, BaseException], None],
        limit: int,
    ) -> None:
        self.settings = settings
        self.outbox_bytes = settings.outbox_bytes
        #: Called with each client that was admitted, and that has left.
        self.on_connected: Listener = _ignore
        self.on_disconnected: Listener = _ignore
        #: Connections that the process can serve.
        self.limit = limit
        self.draining = False
        #: Members that are not parked in the reactor: they take their bytes by polling.
        self.pollers: set[Member] = set()
        #: The other workers of the site.
        self.peers: Peers = NO_PEERS
        #: Rooms that wait for the flush.
        self._pending: list[Room] = []
        self._dirty: list[Member] = []
        #: dirty(client) notes that a client has frames of its own, or a close, to flush.
        self.dirty = self._dirty.append
        self._slow: list[Member] = []
        # Created here, after any fork: two processes never share it.
        self._id_prefix = f"{time.time_ns() // 1_000_000:x}{secrets.token_hex(3)}-"
        self._serial = itertools.count(1)
        self.stats = Stats()
        # Not a module's: two apps of one process may read in two threads at once.
        self.buffer = memoryview(bytearray(READ_BYTES))
        self.max_message = settings.max_message_bytes
        self.parser = Parser(self.max_message)
        self.reactor = Reactor(self.flush, log, self.stats.ticks.observe)
        lock = allocate_lock()
        self.users = ConnectedUsers(settings, self.reactor, lock, limit)
        self.direct = DirectMessages(self.users)
        #: Clients that wait to be admitted.
        self.arrivals = Arrivals(self.users, self.reactor)
        self.rooms = RoomRegistry(settings, self.reactor, lock, self.stats, self.users, self._pending.append)
        self.lobby = self.rooms.lobby

    @property
    def now(self) -> float:
        """Monotonic seconds at the tick under way."""
        return self.reactor.now

    def __len__(self) -> int:
        return self.users.connections

    def use_peers(self, peers: Peers) -> None:
        """Publish to these workers from now on, and ask them."""
        self.peers = self.users.peers = self.rooms.peers = peers

    def new_id(self) -> str:
        """Return an id for a message that came without one: unique in any room."""
        return f"{self._id_prefix}{next(self._serial):x}"

    def gate(self, name: str) -> SeqGate | None:
        """Return the seq gate of an open room, or of a direct conversation with recent messages."""
        room = self.rooms.get(name)
        return room.gate if room is not None else self.direct.conversations.get(name)

    def clients(self) -> list[Member]:
        """Return every connection, members and those who are closing."""
        return [parked for parked in self.reactor.parked() if isinstance(parked, Member)] + list(self.pollers)

    # ---- the client set ----------------------------------------------------------------------------------------

    def admit(self, client: Member, user: Identity, greet: bool = True, lobby: bool = True) -> None:
        """Add `client` to the client set and to the lobby, greet it, and send it the lobby's roster.

        Raises ChatError where a limit is reached.
        """
        self.users.check_limits(user, client.address)
        client.user = user
        self.users.add(client, user)
        if greet:
            client.enqueue(client.wire.codec.welcome())
        if lobby:
            self.rooms.join(client, self.lobby)
            self.rooms.send_roster(client, self.lobby)
        self.on_connected(client)

    def leave(self, client: Member) -> None:
        """Remove a closing client; it gets nothing more but its close."""
        client.wire.on_close(client)
        self.remove(client)

    def remove(self, client: Member) -> None:
        """Remove `client` from the client set, whether it is closing or not."""
        user = self.users.remove(client)
        if user is not None:
            self.rooms.leave_all(client, user.identity)
            self.on_disconnected(client)

    def replace(self, old: Member, new: Member) -> None:
        """Put `new` in the place of `old`: the same client over another transport."""
        new.user = old.user
        if self.users.replace(old, new):
            self.rooms.replace(old, new)

    def add_absent(self, user_id: str, rooms: Iterable[str], codec: Codec) -> None:
        """Encode in `codec` what a disconnected client would be sent: the user's messages and these open rooms'."""
        self.users.add_absent(user_id)
        self.rooms.add_absent(rooms, codec)

    def remove_absent(self, user_id: str, rooms: Iterable[str]) -> None:
        """Undo one `add_absent`."""
        self.users.remove_absent(user_id)
        self.rooms.remove_absent(rooms)

    def send_to_user(
        self, user_id: str, kind: int, fields: dict[str, Any], skip: Member | None = None
    ) -> None:
        """Send a message about a room to the extended connections of a user."""
        user = self.users.get(user_id)
        for client in user.clients if user is not None else ():
            if client.extended and client is not skip:
                client.enqueue(client.wire.codec.notice(kind, fields))

    def refuse(self, client: Member, error: ChatError) -> None:
        """Send `client` an Error, and close it where the table of errors says so."""
        failure = error.failure
        self.stats.errors[failure.code] += 1
        client.enqueue(client.wire.codec.error(error, client.language))
        if failure.close is not None:
            client.close(failure.close)

    def drain(self) -> None:
        """Refuse new clients and close all others with 1012."""
        self.draining = True
        for client in self.clients():
            client.close(CloseCode.RESTARTING)

    # ---- parked sockets ----------------------------------------------------------------------------------------

    def park(self, taken: Taken, wire: Wire) -> Client:
        """Have the reactor read a socket that was taken from the web server, and answer its handshake.

        The descriptor is closed if that fails.
        """
        client = Client(taken.fd, self, wire)
        try:
            self.reactor.add(client)
        except BaseException:
            client.drop()
            raise
        if taken.answer:
            client.enqueue(taken.answer)
        return client

    def feed(self, client: Client, early: bytes) -> None:
        """Serve, after the flush of this tick, what a client sent before it was parked."""
        if early:
            self.reactor.call_soon(self._feed, client, early)

    def _feed(self, client: Client, early: bytes) -> None:
        try:
            if not client.gone and client.feed(early):
                self.reactor.read_again(client)
        except Exception as error:
            self.reactor.fail(client, error)

    # ---- the end of a tick -------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what is pending: messages to peers, messages of rooms, then frames and closes of single clients."""
        self.peers.flush()
        self.flush_rooms()
        while self._dirty or self._slow:
            slow, self._slow = self._slow, []
            for client in slow:
                client.close(CloseCode.TOO_SLOW)
            dirty = self._dirty.copy()
            self._dirty.clear()
            for client in dirty:
                try:
                    client.flush()
                except Exception as error:
                    client.drop()
                    self.reactor.fail(client, error)

    def flush_rooms(self) -> None:
        """Write the pending messages of all rooms, in the order in which the rooms became pending."""
        for room in self._pending:
            if room.pending:
                room.flush(self.stats)
        self._pending.clear()

    # ---- what a client reports (the Owner protocol) --------------------------------------------------------------

    def watch_writable(self, client: Any, wanted: bool) -> None:
        """Have the reactor tell, or stop telling, when `client` can be written to."""
        self.reactor.watch_writable(client, wanted)

    def note_slow(self, client: Member) -> None:
        """Close, at the end of the tick, a client whose outbox is over its bound; a room's flush may be under way."""
        self._slow.append(client)

    def report_failure(self, client: Member) -> None:
        """Tell a client that serving it raised, and close it."""
        self.refuse(client, ChatError("internal"))

    def detach(self, client: Any) -> None:
        """Remove a client from the reactor, or from the pollers, before its end."""
        self.stats.closes[client.close_code] += 1
        if client in self.pollers:
            self.pollers.remove(client)
        else:
            self.reactor.remove(client)


def _ignore(client: Member) -> None:
    pass
