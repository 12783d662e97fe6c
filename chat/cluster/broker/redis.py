"""A broker on Redis (6.2 or newer) or Valkey: it uses publish and subscribe only, and stores nothing there.

On a Redis Cluster (7.0 or newer) each channel is on the node of its slot, so that no node carries all the traffic.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from ...config import ConfigError
from ...loop.drivers import Driver, allocate_lock
from .base import Listener
from .incoming import PLAIN, SHARDED
from .link import FIRST_PAUSE, LONGEST_PAUSE, TIMEOUT, Link

log = logging.getLogger("flask_chat")

#: Bytes at the start of every value that hold the number of the sending process.
SENDER_BYTES = 4
SLOTS = 16_384

#: (host, port) of a server.
Node = tuple[str, int]
#: The key of the only link, where the server is no cluster.
SINGLE: Node = ("", 0)

_STATES = (
    "Redis is down: until it returns, workers read each other's messages from the store",
    "Redis is up",
)


def make_pool(url: str) -> redis.ConnectionPool:
    """Return a factory of connections to `url`; raise ConfigError if it cannot be read."""
    try:
        return redis.ConnectionPool.from_url(
            url,
            protocol=2,
            socket_connect_timeout=TIMEOUT,
            socket_timeout=TIMEOUT,
            socket_keepalive=True,
            retry=Retry(NoBackoff(), 0),
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
            max_connections=2
            ** 31,  # the pool counts every connection ever made, and the links make them anew forever
        )
    except ValueError as error:
        raise ConfigError(f"CHAT_REDIS_URL cannot be read: {error}. Write redis://host:6379/0.") from None


def _query(connection: Any, *words: str) -> Any:
    connection.send_command(*words, check_health=False)
    return connection.read_response(disable_decoding=True)


class RedisBroker:
    """The broker of the process `sender` on the server or cluster at `url`; `prefix` keeps sites apart."""

    alone = False

    def __init__(self, driver: Driver, sender: int, url: str, prefix: str) -> None:
        self._url = url
        self._pool = make_pool(url)
        self._prefix = f"{prefix}:".encode()
        self._driver = driver
        self._sender = sender.to_bytes(SENDER_BYTES, "big")
        self._lock = allocate_lock()
        #: Set when the nodes have to be looked up again.
        self._refresh = driver.event()
        #: Held while the listener is called, so that it gets one call at a time.
        self._calling = driver.allocate_blocking_lock()
        self._links: dict[Node, Link] = {}
        #: The node of each slot; None if the server is no cluster.
        self._slots: list[Node] | None = None
        self._channels: set[bytes] = set()
        self._received = 0
        self._was_up = self._closed = False

    # ---- the contract ----------------------------------------------------------------------------------------------

    @property
    def is_up(self) -> bool:
        links = list(self._links.values())
        return bool(links) and all(link.is_up for link in links)

    def idle_seconds(self) -> float:
        return max((link.idle_seconds() for link in list(self._links.values())), default=float("inf"))

    def counts(self) -> dict[str, int]:
        links = list(self._links.values())
        counts = {
            name: sum(getattr(link, name) for link in links) for name in ("sent", "dropped", "connected")
        }
        return counts | {"taken": self._received}

    def start(self, listener: Listener) -> None:
        self._listener = listener
        self._driver.background(self._run)

    def publish(self, channel: str, payload: bytes) -> None:
        name = self._name(channel)
        link = self._link(name)
        if link is not None:
            link.publish(name, self._sender + payload)

    def flush(self) -> None:
        for link in self._links.values():
            link.flush()

    def subscribe(self, *channels: str) -> None:
        self._change(True, list(map(self._name, channels)))

    def unsubscribe(self, *channels: str) -> None:
        self._change(False, list(map(self._name, channels)))

    def close(self) -> None:
        self._closed = True
        self._refresh.set()
        for link in list(self._links.values()):
            link.close()

    # ---- links -----------------------------------------------------------------------------------------------------

    def _name(self, channel: str) -> bytes:
        return self._prefix + channel.encode()

    def _link(self, name: bytes) -> Link | None:
        slots = self._slots
        return self._links.get(SINGLE if slots is None else slots[key_slot(name)])

    def _change(self, is_wanted: bool, names: Iterable[bytes]) -> None:
        with self._lock:
            (self._channels.update if is_wanted else self._channels.difference_update)(names)
            by_link: dict[Link, list[bytes]] = {}
            for name in names if self._links else ():
                link = self._link(name)
                if link is not None:
                    by_link.setdefault(link, []).append(name)
        for link, some in by_link.items():
            link.change_subscriptions(is_wanted, some)

    def _run(self) -> None:
        """Look up the nodes and connect to them, again whenever a link reports a change."""
        pause = FIRST_PAUSE
        while not self._closed:
            try:
                self._connect(self._find_nodes())
            except Exception as error:
                # Whatever the error is: a broker that gave up would never receive another message.
                level = logging.WARNING if pause == FIRST_PAUSE else logging.DEBUG
                log.log(level, "cannot reach Redis: %s", type(error).__name__)
                pause = min(2 * pause, LONGEST_PAUSE)
                self._driver.sleep(pause)
                continue
            pause = FIRST_PAUSE
            # Another node may replace a lost one, and the cluster does not announce it.
            self._refresh.wait(None if self.is_up or self._slots is None else LONGEST_PAUSE)
            self._refresh.clear()

    def _find_nodes(self) -> list[Node] | None:
        """Return the node of each slot; None if the server is no cluster."""
        connection: Any = self._pool.make_connection()
        try:
            if b"cluster_enabled:1" not in _query(connection, "INFO", "cluster"):
                return None
            ranges = _query(connection, "CLUSTER", "SLOTS")
        finally:
            connection.disconnect()
        slots: list[Node] = [SINGLE] * SLOTS
        for first, last, (host, port, *_), *_ in ranges:
            # A node that does not know its own address is the one that was queried.
            slots[first : last + 1] = [(host.decode() or connection.host, port)] * (last - first + 1)
        return slots

    def _connect(self, slots: list[Node] | None) -> None:
        nodes = {SINGLE} if slots is None else set(slots) - {SINGLE}
        with self._lock:
            gone = [link for node, link in self._links.items() if node not in nodes]
            self._links = {node: self._links.get(node) or self._make_link(node) for node in nodes}
            self._slots = slots
            links, channels = list(self._links.items()), self._channels.copy()
        for link in gone:
            link.close()
        for node, link in links:
            mine = {name for name in channels if slots is None or slots[key_slot(name)] == node}
            link.change_subscriptions(False, link.channels - mine)
            link.change_subscriptions(True, mine)
            link.start()

    def _make_link(self, node: Node) -> Link:
        if node == SINGLE:
            return Link(self._driver, self._pool, PLAIN, self)
        pool = make_pool(self._url)
        pool.connection_kwargs.update(host=node[0], port=node[1])
        return Link(self._driver, pool, SHARDED, self, batch=1)

    # ---- the owner of links ----------------------------------------------------------------------------------------

    def received(self, messages: list[tuple[bytes, bytes]], channels: list[bytes]) -> None:
        """Pass other processes' messages, and new subscriptions, to the listener."""
        skip = len(self._prefix)
        foreign = [
            (name[skip:].decode(), int.from_bytes(value[:SENDER_BYTES], "big"), value[SENDER_BYTES:])
            for name, value in messages
            if value[:SENDER_BYTES] != self._sender
        ]
        with self._calling:
            if channels:
                self._listener.subscribed([name[skip:].decode() for name in channels])
            if foreign:
                self._received += len(foreign)
                self._listener.received(foreign)

    def link_changed(self) -> None:
        """Tell the listener if the state of all links together has changed."""
        with self._calling:
            is_up = self.is_up
            if is_up != self._was_up and not self._closed:
                self._was_up = is_up
                log.log(logging.INFO if is_up else logging.WARNING, _STATES[is_up])
                self._listener.connection_changed(is_up)
        if not is_up and self._slots is not None:
            self._refresh.set()

    def slot_moved(self) -> None:
        """Look up again which node has which slots."""
        self._refresh.set()
