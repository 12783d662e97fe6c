"""The two connections to one Redis server, one that receives and one that publishes, each made anew when it is lost.

The pause before each attempt grows and is random, so that workers do not reconnect at the same time. Messages published
meanwhile are lost, as the broker's contract allows.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable
from typing import Any

import redis

from ...loop.drivers import Driver
from .incoming import Commands, Incoming, Owner
from .outgoing import Outgoing

log = logging.getLogger("flask_chat")

#: Seconds after which an idle connection is sent a PING, and seconds after which it is lost without a reply.
TIMEOUT = 4.0
#: Seconds until a lost connection is made anew. Doubled after each failure, and a random half to whole of it is slept.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0

#: When the other side has just closed a connection, redis-py has no socket any more: a ValueError or AttributeError.
FAILURES = (redis.RedisError, OSError, ValueError, AttributeError)


class Link:
    """The connections to one server. Channels and values are bytes as the server has them."""

    def __init__(
        self, driver: Driver, pool: redis.ConnectionPool, commands: Commands, owner: Owner, batch: int = 0
    ) -> None:
        self._driver, self._pool, self._owner = driver, pool, owner
        self._wake = driver.event()
        self._incoming = Incoming(commands, owner, batch)
        self._outgoing = Outgoing(commands.publish)
        self._was_up = self._has_warned = False
        self._started = self._closed = False
        #: Times that a connection was made.
        self.connected = 0

    @property
    def is_up(self) -> bool:
        """Whether both connections are open."""
        return self._incoming.is_open and self._outgoing.is_open

    @property
    def channels(self) -> set[bytes]:
        """The channels that this link subscribes to."""
        return self._incoming.channels

    @property
    def sent(self) -> int:
        """Messages that were sent."""
        return self._outgoing.sent

    @property
    def dropped(self) -> int:
        """Messages that could not be sent."""
        return self._outgoing.dropped

    def idle_seconds(self) -> float:
        """Return the seconds since anything arrived."""
        return self._incoming.idle_seconds()

    def start(self) -> Link:
        """Start working in the background; another call does nothing."""
        if self._started:
            return self
        self._started = True
        self._driver.background(lambda: self._keep_connected(self._receive, "receive from"))
        self._driver.background(lambda: self._keep_connected(self._publish, "publish to"))
        return self

    def publish(self, channel: bytes, value: bytes) -> None:
        """Queue a message, or drop it if there is no connection; from any thread."""
        if self._outgoing.put((channel, value)):
            self._wake.set()

    def flush(self) -> None:
        """Send queued messages now if that needs no waiting."""
        if self._outgoing.flush():
            self._wake.set()

    def change_subscriptions(self, is_wanted: bool, channels: Iterable[bytes]) -> None:
        """Subscribe to channels, or end their subscriptions; from any thread."""
        self._incoming.change(is_wanted, channels)
        self._wake.set()

    def close(self) -> None:
        """Stop for good."""
        self._closed = True
        self._wake.set()

    # ---- the background task of each connection --------------------------------------------------------------------

    def _receive(self, connection: Any) -> None:
        self._incoming.open(connection)
        self._report_state()
        try:
            while not self._closed:
                self._incoming.receive()
        finally:
            self._incoming.close()

    def _publish(self, connection: Any) -> None:
        outgoing = self._outgoing
        # Only TLS itself can write to a TLS connection, so the loop must not.
        plain = None if isinstance(connection, redis.SSLConnection) else connection
        outgoing.open()
        self._report_state()
        try:
            while not self._closed:
                self._incoming.send_changes()
                if not outgoing.send(connection) and not outgoing.wait(
                    plain, lambda: self._wake.wait(TIMEOUT)
                ):
                    connection.send_command("PING", check_health=False)
                    connection.read_response()
                self._wake.clear()
        finally:
            outgoing.close()

    # ---- reconnecting ----------------------------------------------------------------------------------------------

    def _keep_connected(self, work: Callable[[Any], None], purpose: str) -> None:
        """Run `work(connection)` on one connection after another until the link is closed."""
        pause = FIRST_PAUSE
        while not self._closed:
            began, connection = time.monotonic(), None
            try:
                connection = self._pool.make_connection()
                connection.connect()
                self.connected += 1
                work(connection)
            except FAILURES as error:
                self._report_failure(purpose, error)
            except Exception:
                # The task must not end: it has to receive the next message.
                log.exception("the broker continues after an error")
            finally:
                if connection is not None:
                    connection.disconnect()
                self._report_state()
            pause = FIRST_PAUSE if time.monotonic() - began > LONGEST_PAUSE else min(2 * pause, LONGEST_PAUSE)
            if not self._closed:
                self._driver.sleep(pause * random.uniform(0.5, 1.0))

    def _report_failure(self, purpose: str, error: Exception) -> None:
        """Log the first failure of an outage as a warning, the others at debug level."""
        if self._closed:
            return
        level = logging.DEBUG if self._has_warned else logging.WARNING
        log.log(level, "cannot %s Redis: %s", purpose, type(error).__name__)
        self._has_warned = True
        if str(error).startswith("MOVED") or isinstance(error, redis.exceptions.MovedError):
            self._owner.slot_moved()

    def _report_state(self) -> None:
        is_up = self.is_up
        if is_up != self._was_up and not self._closed:
            self._was_up, self._has_warned = is_up, not is_up
            try:
                self._owner.link_changed()
            except Exception:
                log.exception("the broker continues after an error")
