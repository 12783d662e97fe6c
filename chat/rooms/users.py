"""The users who are connected to this worker: by id, name and address, and the limits on their connections."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ..config import Settings
from ..identity.addressing import NameIndex
from ..identity.networks import network_of
from ..loop.reactor import Reactor
from ..wire.envelope import Identity
from ..wire.errors import ChatError
from .limits import TokenBucket, UserRates
from .member import Member
from .peers import NO_PEERS, Peers


class User:
    """One connected user: the identity, all connections to this worker, and the rate limit that they share."""

    __slots__ = ("identity", "clients", "bucket")

    def __init__(self, identity: Identity, bucket: TokenBucket | None) -> None:
        self.identity = identity
        #: A tuple: most users have one connection, and a list would take twice the memory.
        self.clients: tuple[Member, ...] = ()
        self.bucket = bucket


class ConnectedUsers:
    """All users with a connection to this worker. Its methods run in the loop.

    `lock` is held while the set changes. `max_connections` is what the process can serve, whatever the settings say.
    """

    def __init__(self, settings: Settings, reactor: Reactor, lock: Any, max_connections: int) -> None:
        self._settings = settings
        self._reactor = reactor
        self._lock = lock
        self._max_connections = min(settings.max_connections, max_connections)
        self._rates = UserRates(settings.rate_limit, settings.rate_burst)
        self._users: dict[str, User] = {}
        #: The same by name.
        self._names = NameIndex()
        #: Connections by the network of their address.
        self._networks: Counter[str] = Counter()
        #: Disconnected users whose direct messages are kept for a resumption: how many of their sessions.
        self._absent: Counter[str] = Counter()
        #: Connections of all users together.
        self.connections = 0
        self.peers: Peers = NO_PEERS

    # ---- look-ups ----------------------------------------------------------------------------------------------

    def get(self, user_id: str | None) -> User | None:
        """Return the connected user of that id."""
        return self._users.get(user_id) if user_id is not None else None

    def find_identity(self, user_id: str) -> Identity | None:
        """Return the user of that id who is connected to any worker."""
        user = self._users.get(user_id)
        return user.identity if user is not None else self.peers.find_user(user_id)

    def named(self, username: str) -> list[Identity]:
        """Return the users with that name, in any case and compatible form, who are connected to any worker.

        A user who is connected to several workers may occur more than once; those of this worker come first.
        """
        return self._names.find(username) + self.peers.named(username)

    def is_expected(self, user_id: str) -> bool:
        """Tell whether direct messages to a user are delivered or kept on this worker."""
        return user_id in self._users or user_id in self._absent

    def counts(self) -> tuple[list[tuple[Identity, int]], dict[str, int]]:
        """Return the number of connections to this worker, by user and by network."""
        return [(user.identity, len(user.clients)) for user in self._users.values()], dict(self._networks)

    def connections_from(self, address: str) -> int:
        """Return the number of connections from an address (IPv6: from its /64), to all workers."""
        network = network_of(address)
        return self._networks[network] + self.peers.sockets_from(network)

    # ---- limits ------------------------------------------------------------------------------------------------

    def check_limits(self, identity: Identity, address: str) -> None:
        """Raise ChatError where one more connection of this user from `address` exceeds a limit."""
        settings = self._settings
        wait = self._rates.blocked_for(identity.id, self._reactor.now)
        if wait > 0:
            raise ChatError("flooding", retry_after=wait)
        if self.connections >= self._max_connections:
            raise ChatError("server_full")
        user = self._users.get(identity.id)
        own = len(user.clients) if user is not None else 0
        if own + self.peers.sockets_of(identity.id) >= settings.max_connections_per_user:
            raise ChatError("too_many_for_user")
        # A client behind a Unix socket has no address. Counted together, all of them would be refused.
        if address and self.connections_from(address) >= settings.max_connections_per_ip:
            raise ChatError("too_many_for_address")

    def block(self, user_id: str, seconds: float) -> None:
        """Refuse new connections of a flooding user for `seconds`."""
        self._rates.block(user_id, seconds, self._reactor.now)

    # ---- connections -------------------------------------------------------------------------------------------

    def add(self, client: Member, identity: Identity) -> None:
        """Add a connection of the user `identity`."""
        network = network_of(client.address)
        with self._lock:
            user = self._users.get(identity.id) or self._create(identity)
            if user.identity != identity:
                self._rename(user, identity)
            user.clients += (client,)
            self._networks[network] += 1
            self.connections += 1
        self._publish_counts(user, network)

    def remove(self, client: Member) -> User | None:
        """Remove a connection and return its user; None where it is no user's connection."""
        user = self.get(client.user.id) if client.user is not None else None
        if user is None or client not in user.clients:
            return None
        network = network_of(client.address)
        with self._lock:
            user.clients = tuple(one for one in user.clients if one is not client)
            if not user.clients:
                self._forget(user)
            self._networks[network] -= 1
            if not self._networks[network]:
                del self._networks[network]
            self.connections -= 1
        self._publish_counts(user, network)
        return user

    def replace(self, old: Member, new: Member) -> bool:
        """Put the connection `new` in the place of `old`; False where `old` is no user's connection."""
        user = self.get(old.user.id) if old.user is not None else None
        if user is None or old not in user.clients:
            return False
        with self._lock:
            user.clients = tuple(new if one is old else one for one in user.clients)
        return True

    def add_absent(self, user_id: str) -> None:
        """Have direct messages to a disconnected user delivered to this worker, where its session is kept."""
        self._absent[user_id] += 1
        self.peers.watch_user(user_id)

    def remove_absent(self, user_id: str) -> None:
        """Undo one `add_absent`."""
        self._absent[user_id] -= 1
        if not self._absent[user_id]:
            del self._absent[user_id]
            self._unwatch(user_id)

    def _create(self, identity: Identity) -> User:
        bucket = self._rates.take_bucket(identity.id, self._reactor.now)
        user = self._users[identity.id] = User(identity, bucket)
        self._names.add(identity)
        self.peers.watch_user(identity.id)
        return user

    def _forget(self, user: User) -> None:
        user_id = user.identity.id
        del self._users[user_id]
        self._names.discard(user.identity)
        self._unwatch(user_id)
        if user.bucket is not None:
            self._rates.keep_bucket(user_id, user.bucket, self._reactor.now)

    def _unwatch(self, user_id: str) -> None:
        if not self.is_expected(user_id):
            self.peers.unwatch_user(user_id)

    def _rename(self, user: User, identity: Identity) -> None:
        self._names.discard(user.identity)
        user.identity = identity
        self._names.add(identity)

    def _publish_counts(self, user: User, network: str) -> None:
        self.peers.publish_counts(user.identity, len(user.clients), network, self._networks[network])
