"""A broker on Redis (6.2 or newer) or Valkey: its publish and subscribe, and nothing that it keeps.

On a Redis Cluster (7.0 or newer) each channel is on the node of its slot, so that no node carries what all say.
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
from .link import FIRST_PAUSE, LONGEST_PAUSE, PATIENCE, PLAIN, SHARDED, Link

log = logging.getLogger("chat")

#: Bytes in front of every payload that say who sent it.
SENDER_BYTES = 4
SLOTS = 16_384
#: The place on a server that is no cluster.
ONLY = ("", 0)

_STATES = ("Redis is away: until it is back, workers hear each other by the store alone", "Redis is there")
Node = tuple[str, int]


def make_pool(url: str) -> redis.ConnectionPool:
    """Return what makes connections to a URL; raise ConfigError where it cannot be read."""
    try:
        return redis.ConnectionPool.from_url(
            url,
            protocol=2,
            socket_connect_timeout=PATIENCE,
            socket_timeout=PATIENCE,
            socket_keepalive=True,
            retry=Retry(NoBackoff(), 0),
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
            max_connections=2**31,  # it counts those that were ever made, and they are made anew for ever
        )
    except ValueError as error:
        raise ConfigError(f"CHAT_REDIS_URL cannot be read: {error}. Write redis://host:6379/0.") from None


def _ask(connection: Any, *words: str) -> Any:
    connection.send_command(*words, check_health=False)
    return connection.read_response(disable_decoding=True)


class RedisBroker:
    """The place of the process `sender` on the server at `url`; `prefix` parts sites from each other."""

    alone = False

    def __init__(self, driver: Driver, sender: int, url: str, prefix: str) -> None:
        self._url = url
        self._pool = make_pool(url)
        self._prefix = f"{prefix}:".encode()
        self._driver = driver
        self._sender = sender.to_bytes(SENDER_BYTES, "big")
        self._lock = allocate_lock()
        self._look = driver.event()
        self._telling = driver.allocate_blocking_lock()
        self._links: dict[Node, Link] = {}
        #: The node of each slot; None where there is one server.
        self._slots: list[Node] | None = None
        self._channels: set[bytes] = set()
        self._taken = 0
        self._was_up = self._closed = False

    # ---- the contract ----------------------------------------------------------------------------------------------

    @property
    def is_up(self) -> bool:
        links = list(self._links.values())
        return bool(links) and all(link.is_up for link in links)

    def silent_for(self) -> float:
        return max((link.silent_for() for link in list(self._links.values())), default=float("inf"))

    def counts(self) -> dict[str, int]:
        links = list(self._links.values())
        counts = {
            name: sum(getattr(link, name) for link in links) for name in ("sent", "dropped", "connected")
        }
        return counts | {"taken": self._taken}

    def begin(self, listener: Listener) -> None:
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
        self._order(True, list(map(self._name, channels)))

    def unsubscribe(self, *channels: str) -> None:
        self._order(False, list(map(self._name, channels)))

    def close(self) -> None:
        self._closed = True
        self._look.set()
        for link in list(self._links.values()):
            link.close()

    # ---- links -----------------------------------------------------------------------------------------------------

    def _name(self, channel: str) -> bytes:
        return self._prefix + channel.encode()

    def _link(self, name: bytes) -> Link | None:
        slots = self._slots
        return self._links.get(ONLY if slots is None else slots[key_slot(name)])

    def _order(self, wanted: bool, names: Iterable[bytes]) -> None:
        with self._lock:
            (self._channels.update if wanted else self._channels.difference_update)(names)
            links = self._links
            by_link: dict[Link, list[bytes]] = {}
            for name in names if links else ():
                link = self._link(name)
                if link is not None:
                    by_link.setdefault(link, []).append(name)
        for link, some in by_link.items():
            link.order(wanted, some)

    def _run(self) -> None:
        """Find out what servers there are, and again whenever one of them says that it has changed."""
        pause = FIRST_PAUSE
        while not self._closed:
            try:
                self._connect(self._find_nodes())
            except Exception as error:
                # Whatever it is: who gives up here never hears a hint again.
                level = logging.WARNING if pause == FIRST_PAUSE else logging.DEBUG
                log.log(level, "cannot reach Redis: %s", type(error).__name__)
                pause = min(2 * pause, LONGEST_PAUSE)
                self._driver.sleep(pause)
                continue
            pause = FIRST_PAUSE
            # Another node may take over from one that is lost, and nobody tells.
            self._look.wait(None if self.is_up or self._slots is None else LONGEST_PAUSE)
            self._look.clear()

    def _find_nodes(self) -> list[Node] | None:
        """Return the node of each slot; None where there is no cluster."""
        connection: Any = self._pool.make_connection()
        try:
            if b"cluster_enabled:1" not in _ask(connection, "INFO", "cluster"):
                return None
            shown = _ask(connection, "CLUSTER", "SLOTS")
        finally:
            connection.disconnect()
        slots: list[Node] = [ONLY] * SLOTS
        for first, last, (host, port, *_), *_ in shown:
            # A node that knows no address of its own is the one that was asked.
            slots[first : last + 1] = [(host.decode() or connection.host, port)] * (last - first + 1)
        return slots

    def _connect(self, slots: list[Node] | None) -> None:
        nodes = {ONLY} if slots is None else set(slots) - {ONLY}
        with self._lock:
            gone = [link for node, link in self._links.items() if node not in nodes]
            self._links = {node: self._links.get(node) or self._make_link(node) for node in nodes}
            self._slots = slots
            links, channels = list(self._links.items()), self._channels.copy()
        for link in gone:
            link.close()
        for node, link in links:
            mine = {name for name in channels if slots is None or slots[key_slot(name)] == node}
            link.order(False, link.channels - mine)
            link.order(True, mine)
            link.begin()

    def _make_link(self, node: Node) -> Link:
        if node == ONLY:
            return Link(self._driver, self._pool, PLAIN, self)
        pool = make_pool(self._url)
        pool.connection_kwargs.update(host=node[0], port=node[1])
        return Link(self._driver, pool, SHARDED, self, batch=1)

    # ---- what links tell -------------------------------------------------------------------------------------------

    def arrived(self, hints: list[tuple[bytes, bytes]], channels: list[bytes]) -> None:
        """Pass on what others have sent."""
        skip = len(self._prefix)
        told = [
            (name[skip:].decode(), int.from_bytes(value[:SENDER_BYTES], "big"), value[SENDER_BYTES:])
            for name, value in hints
            if value[:SENDER_BYTES] != self._sender
        ]
        with self._telling:
            if channels:
                self._listener.subscribed([name[skip:].decode() for name in channels])
            if told:
                self._taken += len(told)
                self._listener.received(told)

    def link_changed(self) -> None:
        """Tell whether all links stand."""
        with self._telling:
            is_up = self.is_up
            if is_up != self._was_up and not self._closed:
                self._was_up = is_up
                log.log(logging.INFO if is_up else logging.WARNING, _STATES[is_up])
                self._listener.changed(is_up)
        if not is_up and self._slots is not None:
            self._look.set()

    def moved(self) -> None:
        """Look again who has which slots."""
        self._look.set()
