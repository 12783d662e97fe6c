"""The lock-guarded client set and its rooms: who is here, and who hears what."""

from __future__ import annotations

import itertools
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from ..config import Settings
from ..loop.drivers import allocate_lock
from ..loop.reactor import Reactor
from ..loop.stats import Stats
from ..wire.codec import Codec, chat
from ..wire.envelope import Envelope, Identity, participants
from ..wire.errors import ChatError, CloseCode
from .client import READ_BYTES, Client, Taken
from .dedupe import REMEMBERED_DIRECT, Dedupe
from .limits import TokenBucket
from .member import Member, Wire
from .peers import NO_PEERS, Peers
from .room import Audience, JoinBuffer, Room
from .roster import Roster
from .roster_push import RosterPush
from .seq_gate import Conversations, SeqGate

LOBBY = "lobby"
_LOBBY_ALONE = (LOBBY,)
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
        self.on_connected: Listener = _ignore
        self.on_disconnected: Listener = _ignore
        self.limit = limit
        self._lock = allocate_lock()
        self._users: dict[str, User] = {}
        self._names: dict[str, User] = {}
        self._folded: dict[str, User] = {}
        self._flooded: dict[str, float] = {}
        self._spent: dict[str, TokenBucket] = {}
        self._addresses: Counter[str] = Counter()
        #: Users who are away and may come back to what was said to them meanwhile.
        self._absent: Counter[str] = Counter()
        self._count = 0
        self._rooms: dict[str, Room] = {}
        self._pushes: dict[str, RosterPush] = {}
        #: Rooms that wait for the flush.
        self._talking: list[Room] = []
        #: Direct conversations: the gates of those that are stored, the ids of those that are not.
        self.conversations = Conversations()
        self.direct_dedupe = Dedupe(REMEMBERED_DIRECT)
        #: The other processes of the site.
        self.peers: Peers = NO_PEERS
        #: Members that are not parked in the reactor: they take their bytes by polling.
        self.pollers: set[Member] = set()
        #: Codecs beside the native one that somebody has used; they may keep things for who is away.
        self.codecs: dict[Codec, None] = {}
        #: Names of the rooms that a member is still being let into.
        self._coming: dict[Member, tuple[str, ...]] = {}
        self._dirty: list[Member] = []
        #: Notes that a client has frames of its own, or a close, to flush.
        self.dirty = self._dirty.append
        self._slow: list[Member] = []
        # Made here, after any fork: two processes never share it.
        self._id_prefix = f"{time.time_ns() // 1_000_000:x}{secrets.token_hex(3)}-"
        self._serial = itertools.count(1)
        self.draining = False
        self.stats = Stats()
        # Not a module's: two apps of one process may read in two threads at once.
        self.buffer = memoryview(bytearray(READ_BYTES))
        self.reactor = Reactor(self.flush, log, self.stats.ticks.observe)
        self.lobby = self.open(LOBBY, None if settings.is_ephemeral(LOBBY) else SeqGate(0))

    # ---- who is here -------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Monotonic seconds at the tick under way."""
        return self.reactor.now

    def __len__(self) -> int:
        return self._count

    def admit(self, client: Member, user: Identity, greet: bool = True, lobby: bool = True) -> None:
        """Make `client` a member of the client set and of the lobby, greet it, and show it who is there.

        Raises ChatError where there is no place for it.
        """
        self.check_limits(user, client.address)
        client.user = user
        with self._lock:
            known = self._users.get(user.id) or self._add_user(user)
            if known.identity != user:
                self._rename(known, user)
            known.clients.append(client)
            self._addresses[client.address] += 1
            self._count += 1
        self._tell_count(known, client.address)
        if greet:
            client.enqueue(client.wire.codec.welcome())
        if lobby:
            self.join(client, self.lobby)
            self.send_roster(client, self.lobby)
        self.on_connected(client)

    def check_limits(self, user: Identity, address: str) -> None:
        """Raise ChatError where the limits leave no place for one more socket of `user` from `address`."""
        settings = self.settings
        if self._flooded and (wait := self._flooded.get(user.id, 0) - self.now) > 0:
            raise ChatError("flooding", retry_after=wait)
        if self._count >= min(settings.max_connections, self.limit):
            raise ChatError("server_full")
        known = self._users.get(user.id)
        sockets = len(known.clients) if known is not None else 0
        if sockets + self.peers.sockets_of(user.id) >= settings.max_connections_per_user:
            raise ChatError("too_many_for_user")
        # Behind a Unix socket nobody has an address; to count them together would lock everybody out.
        if address and self.sockets_from(address) >= settings.max_connections_per_ip:
            raise ChatError("too_many_for_address")

    def sockets_from(self, address: str) -> int:
        """Return how many sockets come from an address, to all processes."""
        return self._addresses[address] + self.peers.sockets_from(address)

    def _tell_count(self, user: User, address: str) -> None:
        self.peers.publish_counts(user.identity, len(user.clients), address, self._addresses[address])

    def _add_user(self, identity: Identity) -> User:
        user = self._users[identity.id] = User(identity, self._bucket(identity.id))
        self._index(user)
        self.peers.watch_user(identity.id)
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
        client.wire.on_close(client)
        self.remove(client)

    def remove(self, client: Member) -> None:
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
        self._tell_count(user, client.address)
        for name in client.rooms:
            self._exit(client, user.identity, self._rooms[name])
        client.rooms = ()
        for room in self._waiting_for(client):
            del room.joining[client]
            self.close_if_empty(room)
        self.on_disconnected(client)

    def _waiting_for(self, client: Member) -> list[Room]:
        return [self._rooms[name] for name in self._coming.pop(client, ())]

    # ---- rooms -------------------------------------------------------------------------------------------------

    def open(self, name: str, gate: SeqGate | None) -> Room:
        """Return the room of that name on this worker, made now if need be; without a gate it keeps nothing."""
        room = self._rooms.get(name)
        if room is not None:
            return room
        settings = self.settings
        roster = Roster(name, settings.roster_grace, settings.roster_bytes_per_s)
        room = Room(name, roster, gate, self._talking.append, settings.replay_max)
        with self._lock:
            self._rooms[name] = room
        self._pushes[name] = RosterPush(
            room, self.reactor, self._lock, settings.roster_bytes_per_s, self.stats, self.close_if_empty
        )
        self.peers.room_opened(room)
        return room

    def close_if_empty(self, room: Room) -> None:
        """Forget `room` where nobody is in it any more; the lobby stays."""
        if room.empty and room is not self.lobby and not room.pending and self._rooms.get(room.name) is room:
            with self._lock:
                del self._rooms[room.name]
            del self._pushes[room.name]
            self.peers.room_closed(room)

    def room(self, name: str | None) -> Room | None:
        """Return the open room that a message names, the lobby where it names none."""
        return self.lobby if name is None else self._rooms.get(name)

    def gate(self, name: str) -> SeqGate | None:
        """Return the gate of an open room, or of a conversation that was heard lately."""
        room = self._rooms.get(name)
        return room.gate if room is not None else self.conversations.get(name)

    def is_relevant(self, name: str) -> bool:
        """Tell whether one of the two users of a direct conversation is connected here, or expected back."""
        users, absent = self._users, self._absent
        return any(user in users or user in absent for user in participants(name) or ())

    def add_absent(self, user_id: str, rooms: Iterable[str], codec: Codec) -> None:
        """Have what is said in these open rooms, and to the user, said in `codec` as if its client were here."""
        self._absent[user_id] += 1
        self.peers.watch_user(user_id)
        for room in map(self._rooms.__getitem__, rooms):
            room.absent += 1
            room.audiences.setdefault(codec, Audience())

    def remove_absent(self, user_id: str, rooms: Iterable[str]) -> None:
        """Take one `hold` back."""
        self._absent[user_id] -= 1
        if not self._absent[user_id]:
            del self._absent[user_id]
            self._expect_no_more(user_id)
        for room in map(self._rooms.__getitem__, rooms):
            room.absent -= 1
            self.close_if_empty(room)

    def counts(self) -> tuple[list[tuple[Identity, int]], dict[str, int]]:
        """Return how many sockets each user has here, and how many come from each address."""
        return [(user.identity, len(user.clients)) for user in self._users.values()], dict(self._addresses)

    def rooms(self) -> list[Room]:
        """Return the open rooms."""
        return list(self._rooms.values())

    def start_joining(self, client: Member, room: Room) -> JoinBuffer:
        """Have what is said in `room` from now on kept for `client`, until it has been told what it missed."""
        newcomer = room.joining[client] = JoinBuffer()
        self._coming[client] = (*self._coming.get(client, ()), room.name)
        return newcomer

    def stop_joining(self, client: Member, room: Room) -> None:
        """Keep nothing more of `room` for `client`."""
        if room.joining.pop(client, None) is not None:
            rest = tuple(name for name in self._coming.pop(client) if name != room.name)
            if rest:
                self._coming[client] = rest

    def join(self, client: Member, room: Room, upto: int | None = None) -> None:
        """Let `client` hear what is said in `room` from now on; nothing of what was said before.

        `upto` is the seq of the last message that came before it, where the client has been told of later ones.
        """
        assert client.user is not None
        self.flush_room(room)
        user = self._users[client.user.id].identity
        with self._lock:
            room.add(client)
            is_news = room.roster.join(user)
        if is_news:
            self.peers.user_joined(room, user)
        upto = room.last_seq if upto is None else upto
        if room is self.lobby:
            client.entered = upto
            client.rooms = (*client.rooms, LOBBY) if client.rooms else _LOBBY_ALONE
        else:
            client.floors = client.floors or {}
            client.floors[room.name] = upto + 1
            client.rooms = (*client.rooms, room.name)
        self._pushes[room.name].schedule()

    def send_roster(self, client: Member, room: Room) -> None:
        """Send `client`, who is in `room`, the list of who else is."""
        client.enqueue(room.roster.list_for(client.wire.codec).frame())
        room.note_roster_sent(client)

    def leave_room(self, client: Member, room: Room) -> bool:
        """Let `client` hear `room` no more; False where it did not."""
        if client not in room or client.user is None:
            return False
        self.flush_room(room)
        self._exit(client, self._users[client.user.id].identity, room)
        client.rooms = tuple(name for name in client.rooms if name != room.name)
        if client.floors:
            client.floors.pop(room.name, None)
        return True

    def _exit(self, client: Member, user: Identity, room: Room) -> None:
        with self._lock:
            room.remove(client)
            is_last = room.roster.leave(user, self.now)
        if is_last:
            self.peers.user_left(room, user)
        self._pushes[room.name].schedule()
        if room.empty:  # there is nobody to be told, so that no push will come by
            self.reactor.call_soon(self.close_if_empty, room)

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
            for name in old.rooms:
                self._rooms[name].replace(old, new)
                self._pushes[name].replace(old, new)
        new.rooms, new.entered, new.floors = old.rooms, old.entered, old.floors
        for room in self._waiting_for(old):
            room.joining[new] = room.joining.pop(old)
            self._coming[new] = (*self._coming.get(new, ()), room.name)

    def _forget(self, user: User) -> None:
        del self._users[user.identity.id]
        self._unindex(user)
        self._expect_no_more(user.identity.id)
        if user.bucket is not None:
            self._keep_bucket(user.identity.id, user.bucket)

    def _expect_no_more(self, user_id: str) -> None:
        if user_id not in self._users and user_id not in self._absent:
            self.peers.unwatch_user(user_id)

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

    def find_identity(self, username: str) -> Identity | None:
        """Return who of that name is connected, here or to another process."""
        user = self.named(username)
        return user.identity if user is not None else self.peers.find_user(username)

    def change_roster(self, room: Room, change: Callable[[Roster], None]) -> None:
        """Change who of other processes is in an open room, and have its members told."""
        with self._lock:
            change(room.roster)
        self._pushes[room.name].schedule()

    def members(self, room: str) -> list[Identity]:
        """Return the users in `room`; from any thread."""
        with self._lock:
            found = self._rooms.get(room)
            return list(found.roster) if found is not None else []

    def block(self, user_id: str, seconds: float) -> None:
        """Let a flooding user not come back before `seconds` have passed."""
        self._flooded = {id: until for id, until in self._flooded.items() if until > self.now}
        self._flooded[user_id] = self.now + seconds

    # ---- what is said ------------------------------------------------------------------------------------------

    def new_id(self) -> str:
        """Return an id for a message that came without one: unique in any room."""
        return f"{self._id_prefix}{next(self._serial):x}"

    def deliver_direct(self, envelope: Envelope, gate: SeqGate) -> None:
        """Take a stored direct message, whoever brought it: it is said when its turn comes."""
        for ready in gate.take(envelope):
            self.send_direct(ready)

    def send_direct(self, envelope: Envelope) -> None:
        """Deliver a direct message to all sockets of the receiver, and to the sender's other extended ones."""
        sender = envelope.sender
        frame = chat(envelope)
        others: dict[Codec, bytes] = {}
        if self.codecs:
            to_oneself = envelope.user is not None and envelope.to_id == envelope.user.id
            skip = None if to_oneself else sender
            others = {codec: codec.chat(envelope, skip) for codec in self.codecs if codec.recoverable}
        receiver = self._users.get(envelope.to_id) if envelope.to_id is not None else None
        for client in receiver.clients if receiver is not None else ():
            if _hears(client, envelope):
                client.enqueue(others.get(client.wire.codec, frame) if others else frame)
        if sender is not None and sender.user is envelope.user and not sender.closing:
            told = sender.wire.codec.sender_copy(envelope)
            if told:
                sender.enqueue(told)
        own = self._users.get(envelope.user.id) if envelope.user is not None else None
        if own is None or own is receiver:
            return
        for client in own.clients:
            if client is not sender and client.extended and _hears(client, envelope):
                client.enqueue(others.get(client.wire.codec, frame) if others else frame)

    def send_to_user(
        self, user_id: str, kind: int, fields: dict[str, Any], skip: Member | None = None
    ) -> None:
        """Send a message about a room to the extended sockets of a user."""
        user = self._users.get(user_id)
        for client in user.clients if user is not None else ():
            if client.extended and client is not skip:
                client.enqueue(client.wire.codec.notice(kind, fields))

    def refuse(self, client: Member, error: ChatError) -> None:
        """Send `client` an Error, and close it where the table says so."""
        failure = error.failure
        self.stats.errors[failure.code] += 1
        client.enqueue(client.wire.codec.error(error, client.language))
        if failure.close is not None:
            client.close(failure.close)

    # ---- what the reactor calls --------------------------------------------------------------------------------

    def flush(self) -> None:
        """End a tick: write what the others are to be told, what the rooms said, what single clients still wait for."""
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
        """Write what all rooms said, in the order in which they began to."""
        for room in self._talking:
            if room.pending:
                room.flush(self.stats)
        self._talking.clear()

    def flush_room(self, room: Room) -> None:
        """Write what `room` said, before its members change."""
        if room.pending:
            room.flush(self.stats)

    def watch_writable(self, client: Any, wanted: bool) -> None:
        """Have the reactor watch whether `client` can be written to."""
        self.reactor.watch_writable(client, wanted)

    def note_slow(self, client: Member) -> None:
        """Note a client whose outbox is over its bound; it may be in the middle of a room's flush."""
        self._slow.append(client)

    def report_failure(self, client: Member) -> None:
        """Tell a client that serving it raised, and close it."""
        self.refuse(client, ChatError("internal"))

    def detach(self, client: Any) -> None:
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


def _hears(client: Member, envelope: Envelope) -> bool:
    """Tell whether `client` is to hear a direct message live; what is below its floor it has, or asks for, by Join."""
    seq, room = envelope.seq, envelope.room
    if seq is None or not client.extended:
        return True
    assert room is not None
    if client.floors is None:
        client.floors = {}
    return seq >= client.floors.setdefault(room, seq)


def _ignore(client: Member) -> None:
    pass
