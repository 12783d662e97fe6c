"""The lock-guarded client set and its rooms: who is here, and who hears what."""

from __future__ import annotations

import itertools
import secrets
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from .client import Client, Taken
from .codec import Codec, chat
from .config import Settings
from .drivers import allocate_lock
from .envelope import Envelope, Identity
from .errors import ChatError, CloseCode
from .limits import TokenBucket
from .member import Member, Wire
from .order import Conversations
from .reactor import Reactor
from .room import Room
from .roster import Roster
from .roster_push import RosterPush
from .stats import Stats

LOBBY = "lobby"
#: Users who went without having had all their messages' rate back, before those who have are looked for.
SPENT = 10_000

Listener = Callable[[Member], None]


class User:
    """One user who is connected: the identity, all of its sockets on this worker, and what it may still say."""

    __slots__ = ("identity", "clients", "bucket")

    def __init__(self, identity: Identity, bucket: TokenBucket | None) -> None:
        self.identity = identity
        self.clients: list[Member] = []
        self.bucket = bucket


class Hub:
    """Owns the clients of one app in one process, and everything that they share.

    Its methods run in the reactor's loop, but for those that say otherwise. The lock guards the sets that other
    threads read (`users`, rooms' members and rosters): the loop holds it while it changes one, others while they
    copy one; nothing yields while it is held.
    """

    def __init__(
        self,
        settings: Settings,
        log: Callable[[str, BaseException], None],
        limit: int,
    ) -> None:
        self.settings = settings
        self.outbox_bytes = settings.outbox_bytes
        self.connected: Listener = _ignore
        self.disconnected: Listener = _ignore
        self.limit = limit
        self._lock = allocate_lock()
        self._users: dict[str, User] = {}
        self._names: dict[str, User] = {}
        self._folded: dict[str, User] = {}
        self._flooded: dict[str, float] = {}
        self._spent: dict[str, TokenBucket] = {}
        self._addresses: Counter[str] = Counter()
        self._count = 0
        self._rooms: dict[str, Room] = {}
        self._pushes: dict[str, RosterPush] = {}
        self.conversations = Conversations(settings)
        #: Members that are not parked in the reactor: they take their bytes by polling.
        self.pollers: set[Member] = set()
        #: Codecs beside the native one that somebody has used; they may keep things for who is away.
        self.codecs: dict[Codec, None] = {}
        self._dirty: list[Member] = []
        #: Notes that a client has frames of its own, or a close, to flush.
        self.dirty = self._dirty.append
        self._slow: list[Member] = []
        # Made here, after any fork: two processes never share it.
        self._id_prefix = f"{time.time_ns() // 1_000_000:x}{secrets.token_hex(3)}-"
        self._serial = itertools.count(1)
        self.draining = False
        self.stats = Stats()
        self.reactor = Reactor(self.flush, log, self.stats.ticks.observe)
        self.lobby = self._open_room(LOBBY)

    # ---- who is here -------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Monotonic seconds at the tick under way."""
        return self.reactor.now

    def __len__(self) -> int:
        return self._count

    def admit(self, client: Member, user: Identity, greet: bool = True) -> None:
        """Make `client` a member of the client set and of the lobby, greet it, and show it who is there.

        Raises ChatError where there is no place for it.
        """
        self.find_place(user, client.address)
        client.user = user
        room = self.lobby
        with self._lock:
            known = self._users.get(user.id) or self._add_user(user)
            if known.identity != user:
                self._rename(known, user)
            known.clients.append(client)
            self._addresses[client.address] += 1
            self._count += 1
            room.add(client)
            room.roster.join(known.identity)
        codec = client.wire.codec
        users = room.roster.list_for(codec)
        if greet:
            client.enqueue(codec.welcome())
        client.enqueue(users.frame())
        client.listed = users.version
        self._pushes[room.name].schedule()
        self.connected(client)

    def find_place(self, user: Identity, address: str) -> None:
        """Raise ChatError where the limits leave no place for one more socket of `user` from `address`."""
        settings = self.settings
        if self._flooded and (wait := self._flooded.get(user.id, 0) - self.now) > 0:
            raise ChatError("flooding", retry_after=wait)
        if self._count >= min(settings.max_connections, self.limit):
            raise ChatError("server_full")
        known = self._users.get(user.id)
        if known is not None and len(known.clients) >= settings.max_connections_per_user:
            raise ChatError("too_many_for_user")
        # Behind a Unix socket nobody has an address; to count them together would lock everybody out.
        if address and self._addresses[address] >= settings.max_connections_per_ip:
            raise ChatError("too_many_for_address")

    def _add_user(self, identity: Identity) -> User:
        user = self._users[identity.id] = User(identity, self._bucket(identity.id))
        self._index(user)
        return user

    def _bucket(self, user_id: str) -> TokenBucket | None:
        rate = self.settings.rate_limit
        if not rate:
            return None
        return self._spent.pop(user_id, None) or TokenBucket(rate, self.settings.rate_burst, self.now)

    def _index(self, user: User) -> None:
        name = user.identity.username
        self._names[name] = user
        if (key := name.casefold()) != name:
            self._folded[key] = user

    def _unindex(self, user: User) -> None:
        name = user.identity.username
        for index, key in ((self._names, name), (self._folded, name.casefold())):
            if index.get(key) is user:
                del index[key]

    def _rename(self, user: User, identity: Identity) -> None:
        self._unindex(user)
        user.identity = identity
        self._index(user)

    def leave(self, client: Member) -> None:
        """Take `client` out of the client set; it gets nothing more but its close."""
        client.wire.left(client)
        self.take_out(client)

    def take_out(self, client: Member) -> None:
        """Take `client` out of the client set, be it closing or not."""
        if client.user is None:
            return
        user = self._users.get(client.user.id)
        if user is None or client not in user.clients:
            return
        with self._lock:
            user.clients.remove(client)
            if not user.clients:
                self._forget(user)
            self._leave_address(client.address)
            self._count -= 1
            for room in self._rooms.values():
                if client in room:
                    room.remove(client)
                    room.roster.leave(user.identity, self.now)
        self._pushes[LOBBY].schedule()
        self.disconnected(client)

    def park(self, taken: Taken, wire: Wire) -> Client:
        """Have the reactor read a socket that was taken from the server, and answer its handshake."""
        client = Client(taken.fd, self, wire, self.settings.max_message_bytes)
        self.reactor.add(client)
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

    def replace(self, old: Member, new: Member) -> None:
        """Put `new` in the place of `old`, which is the same client over another transport."""
        new.user = old.user
        user = old.user and self._users.get(old.user.id)
        if not user or old not in user.clients:
            return
        with self._lock:
            user.clients[user.clients.index(old)] = new
            for room in self._rooms.values():
                if old in room:
                    room.remove(old)
                    room.add(new)
                    self._pushes[room.name].replace(old, new)

    def _forget(self, user: User) -> None:
        del self._users[user.identity.id]
        self._unindex(user)
        if user.bucket is not None:
            self._keep_bucket(user.identity.id, user.bucket)

    def _keep_bucket(self, user_id: str, bucket: TokenBucket) -> None:
        # Or to come again would be to have said nothing yet. One that has filled up again can go.
        if not bucket.is_full(self.now):
            self._spent[user_id] = bucket
            if len(self._spent) > SPENT:
                self._spent = {id: kept for id, kept in self._spent.items() if not kept.is_full(self.now)}

    def _leave_address(self, address: str) -> None:
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]

    def rooms_of(self, client: Member) -> list[str]:
        """Return the names of the rooms that `client` hears."""
        return [name for name, room in self._rooms.items() if client in room]

    def user(self, user_id: str) -> User | None:
        """Return the connected user of that id."""
        return self._users.get(user_id)

    def named(self, username: str) -> User | None:
        """Return the connected user of that name: as written, else in any case."""
        user = self._names.get(username)
        if user is None:
            key = username.casefold()
            user = self._folded.get(key) or self._names.get(key)
        return user

    def members(self, room: str) -> list[Identity]:
        """Return the users in `room`; from any thread."""
        with self._lock:
            found = self._rooms.get(room)
            return list(found.roster) if found is not None else []

    def shut_out(self, user_id: str, seconds: float) -> None:
        """Let a flooding user not come back before `seconds` have passed."""
        self._flooded = {id: until for id, until in self._flooded.items() if until > self.now}
        self._flooded[user_id] = self.now + seconds

    # ---- what is said ------------------------------------------------------------------------------------------

    def room(self, name: str | None) -> Room:
        """Return the room that a message names: the lobby, for now, whatever it names."""
        return self.lobby

    def _open_room(self, name: str) -> Room:
        settings = self.settings
        roster = Roster(name, settings.roster_grace, settings.roster_bytes_per_s)
        room = self._rooms[name] = Room(name, roster, settings.is_ephemeral(name))
        self._pushes[name] = RosterPush(
            room, self.reactor, self._lock, settings.roster_bytes_per_s, self.stats
        )
        return room

    def new_id(self) -> str:
        """Return an id for a message that came without one: unique in any room."""
        return f"{self._id_prefix}{next(self._serial):x}"

    def direct(self, envelope: Envelope, receiver: User, sender: Member | None) -> None:
        """Deliver a direct message to all sockets of `receiver`, and to the sender's other extended ones."""
        frame = chat(envelope)
        others: dict[Codec, bytes] = {}
        if self.codecs:
            others = {codec: codec.chat(envelope, sender) for codec in self.codecs if codec.keeps}
        for client in receiver.clients:
            client.enqueue(others.get(client.wire.codec, frame) if others else frame)
        if sender is None or sender.user is None:
            return
        own = self._users.get(sender.user.id)
        if own is None or own is receiver or len(own.clients) == 1:
            return
        for client in own.clients:
            if client is not sender and client.extended:
                client.enqueue(others.get(client.wire.codec, frame) if others else frame)

    def refuse(self, client: Member, error: ChatError) -> None:
        """Send `client` an Error, and close it where the table says so."""
        failure = error.failure
        self.stats.errors[failure.code] += 1
        client.enqueue(client.wire.codec.error(error, client.language))
        if failure.close is not None:
            client.close(failure.close)

    # ---- what the reactor calls --------------------------------------------------------------------------------

    def flush(self) -> None:
        """End a tick: write what the rooms said, then what single clients still wait for."""
        for room in self._rooms.values():
            if room.pending:
                room.flush(self.stats)
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

    def wants_writable(self, client: Any, wanted: bool) -> None:
        """Have the reactor watch whether `client` can be written to."""
        self.reactor.watch_writable(client, wanted)

    def too_slow(self, client: Member) -> None:
        """Note a client whose outbox is over its bound; it may be in the middle of a room's flush."""
        self._slow.append(client)

    def failed(self, client: Member) -> None:
        """Tell a client that serving it raised, and close it."""
        self.refuse(client, ChatError("internal"))

    def gone(self, client: Any) -> None:
        """Forget a client's place in the reactor."""
        self.stats.closes[client.close_code] += 1
        if client in self.pollers:
            self.pollers.remove(client)
        else:
            self.reactor.remove(client)

    # ---- the end -----------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Admit nobody any more and close everyone with 1012."""
        self.draining = True
        for client in self.clients():
            client.close(CloseCode.RESTARTING)

    def clients(self) -> list[Member]:
        """Return every connection, members and those who are closing."""
        return [parked for parked in self.reactor.parked() if isinstance(parked, Member)] + list(self.pollers)


def direct_room(one: str, other: str) -> str:
    """Return the name of the conversation of two users, given their ids."""
    return f"dm:{one}:{other}" if one < other else f"dm:{other}:{one}"


def _ignore(client: Member) -> None:
    pass
