"""The way to one Redis server and back: a connection that listens, and one that publishes.

Either is made anew for as long as the process lives, after a pause that grows and is never the same for all; what is
published meanwhile is lost, as the broker's contract has it.
"""

from __future__ import annotations

import logging
import random
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

import redis

from ...loop.drivers import Driver, allocate_lock
from .outgoing import Outgoing

log = logging.getLogger("chat")

#: Seconds after which a connection that is silent is asked whether it lives, and after which it then does not.
PATIENCE = 4.0
#: Seconds until a lost connection is tried anew: doubled each time, and somewhere between half of it and all.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
#: Hints that are taken at once, and channels that one command names.
MAX_BATCH, MAX_CHANNELS = 1_000, 500

#: A connection that its other side has just ended has no socket any more: a ValueError or an AttributeError there.
FAILURES = (redis.RedisError, OSError, ValueError, AttributeError)


class Words(NamedTuple):
    """The commands, and what their messages are called."""

    publish: str
    subscribe: str
    unsubscribe: str
    message: bytes
    subscribed: bytes


PLAIN = Words("PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE", b"message", b"subscribe")
#: Of Redis Cluster from 7.0 on: a message goes to the nodes of its channel's slot, and not to all.
SHARDED = Words("SPUBLISH", "SSUBSCRIBE", "SUNSUBSCRIBE", b"smessage", b"ssubscribe")


class Owner(Protocol):
    """Who has links; called outside the loop."""

    def arrived(self, hints: list[tuple[bytes, bytes]], channels: list[bytes]) -> None:
        """Take messages as (channel, value), and channels that can be heard from now on."""

    def link_changed(self) -> None:
        """Take note that a link is up now, or down."""

    def moved(self) -> None:
        """Take note that a channel belongs to another server."""


class Link:
    """One server's. Channels and values are bytes as the server has them."""

    def __init__(
        self, driver: Driver, pool: redis.ConnectionPool, words: Words, owner: Owner, batch: int = 0
    ) -> None:
        self._driver, self._pool, self._words, self._owner = driver, pool, words, owner
        # A node of a cluster refuses a command that names channels of several slots.
        self._batch = batch or MAX_CHANNELS
        self._lock = allocate_lock()
        self._wake = driver.event()
        self.channels: set[bytes] = set()
        self._orders: deque[tuple[bool, bytes]] = deque()
        self._outgoing = Outgoing(words.publish)
        self._listening: Any = None
        self._was_up = self._warned = False
        self._heard_at = 0.0
        self._begun = self._closed = False
        #: Times that a connection was made.
        self.connected = 0

    @property
    def is_up(self) -> bool:
        """Whether both connections stand."""
        return self._listening is not None and self._outgoing.is_open

    @property
    def sent(self) -> int:
        """Hints that went out."""
        return self._outgoing.sent

    @property
    def dropped(self) -> int:
        """Hints that could not go out."""
        return self._outgoing.dropped

    def silent_for(self) -> float:
        """Return the seconds since anything was heard."""
        return time.monotonic() - self._heard_at

    def begin(self) -> Link:
        """Go to work in the background; again is no harm."""
        if self._begun:
            return self
        self._begun = True
        self._driver.background(lambda: self._keep_on(self._listen, "listen to"))
        self._driver.background(lambda: self._keep_on(self._send, "publish on"))
        return self

    def publish(self, channel: bytes, value: bytes) -> None:
        """Send, or drop it where that cannot be; from any thread."""
        if self._outgoing.put((channel, value)):
            self._wake.set()

    def flush(self) -> None:
        """Send what was published, where that can be done at once."""
        if self._outgoing.flush():
            self._wake.set()

    def order(self, wanted: bool, channels: Iterable[bytes]) -> None:
        """Ask for channels, or no more for them; from any thread."""
        with self._lock:
            for channel in channels:
                if (channel in self.channels) == wanted:
                    continue
                (self.channels.add if wanted else self.channels.remove)(channel)
                self._orders.append((wanted, channel))
        self._wake.set()

    def close(self) -> None:
        """Stop, for good."""
        self._closed = True
        self._wake.set()

    # ---- the two connections ---------------------------------------------------------------------------------------

    def _keep_on(self, work: Callable[[Any], None], what: str) -> None:
        """Do `work` on one connection after the other."""
        pause = FIRST_PAUSE
        while not self._closed:
            began, connection = time.monotonic(), None
            try:
                connection = self._pool.make_connection()
                connection.connect()
                self.connected += 1
                work(connection)
            except FAILURES as error:
                self._warn(what, error)
            except Exception:
                # Never to be silent: who listens has to hear of the next hint all the same.
                log.exception("the broker goes on after an error")
            finally:
                if connection is not None:
                    connection.disconnect()
                self._tell()
            pause = FIRST_PAUSE if time.monotonic() - began > LONGEST_PAUSE else min(2 * pause, LONGEST_PAUSE)
            if not self._closed:
                self._driver.sleep(pause * random.uniform(0.5, 1.0))

    def _warn(self, what: str, error: Exception) -> None:
        """Say it once in an outage, and each further try only to who wants to know."""
        if self._closed:
            return
        level = logging.DEBUG if self._warned else logging.WARNING
        log.log(level, "cannot %s Redis: %s", what, type(error).__name__)
        self._warned = True
        if str(error).startswith("MOVED") or isinstance(error, redis.exceptions.MovedError):
            self._owner.moved()

    def _tell(self) -> None:
        is_up = self.is_up
        if is_up != self._was_up and not self._closed:
            self._was_up, self._warned = is_up, not is_up
            try:
                self._owner.link_changed()
            except Exception:
                log.exception("the broker goes on after an error")

    # ---- listening -------------------------------------------------------------------------------------------------

    def _listen(self, connection: Any) -> None:
        with self._lock:
            self._orders.clear()
            channels = list(self.channels)
        self._command(connection, self._words.subscribe, channels)
        # Whose connection it is, the publishing one sends its orders: one reads, the other writes.
        self._listening = connection
        self._tell()
        try:
            while not self._closed:
                self._take(self._read(connection))
        finally:
            self._listening = None

    def _command(self, connection: Any, word: str, channels: list[bytes]) -> None:
        for start in range(0, len(channels), self._batch):
            connection.send_command(word, *channels[start : start + self._batch], check_health=False)

    def _read(self, connection: Any) -> list[Any]:
        """Return what has come, as soon as something has; raise where nothing does, though it was asked for."""
        try:
            answers = [connection.read_response(disable_decoding=True, disconnect_on_error=False)]
        except redis.TimeoutError:
            connection.send_command("PING", check_health=False)
            answers = [connection.read_response(disable_decoding=True)]
        self._heard_at = time.monotonic()
        while len(answers) < MAX_BATCH and _has_more(connection):
            answers.append(connection.read_response(disable_decoding=True))
        return answers

    def _take(self, answers: list[Any]) -> None:
        whole = [answer for answer in answers if len(answer) == 3]
        hints = [(name, value) for kind, name, value in whole if kind == self._words.message]
        fresh = [name for kind, name, _ in whole if kind == self._words.subscribed]
        # A node tells so when it gives a slot away.
        if any(kind == b"sunsubscribe" and name in self.channels for kind, name, _ in whole):
            self._owner.moved()
        if hints or fresh:
            self._owner.arrived(hints, fresh)

    # ---- publishing ------------------------------------------------------------------------------------------------

    def _send(self, connection: Any) -> None:
        outgoing = self._outgoing
        # What TLS sends, it alone can write.
        plain = None if isinstance(connection, redis.SSLConnection) else connection
        outgoing.open()
        self._tell()
        try:
            while not self._closed:
                self._send_orders()
                if not outgoing.send(connection) and not outgoing.wait(
                    plain, lambda: self._wake.wait(PATIENCE)
                ):
                    connection.send_command("PING", check_health=False)
                    connection.read_response()
                self._wake.clear()
        finally:
            outgoing.close()

    def _send_orders(self) -> None:
        listening = self._listening
        if listening is None or not self._orders:
            return
        with self._lock:
            orders = {channel: wanted for wanted, channel in self._orders}
            self._orders.clear()
        for wanted, word in ((False, self._words.unsubscribe), (True, self._words.subscribe)):
            self._command(listening, word, [channel for channel, is_in in orders.items() if is_in == wanted])


def _has_more(connection: Any) -> bool:
    """Tell whether some of another answer has been read already.

    `can_read` asks the socket too: under gevent a turn of its loop for each hint, a twelfth of a worker that gets them.
    """
    more: bool = connection._parser._reader.has_data()
    return more
