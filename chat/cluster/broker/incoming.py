"""The receiving half of a link: the channels it subscribes to, and the connection on which their messages arrive."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

import redis

from ...loop.drivers import allocate_lock

#: Messages that are read as one batch, and channels that one command names.
MAX_BATCH, MAX_CHANNELS = 1_000, 500


class Commands(NamedTuple):
    """The commands for publish and subscribe, and the kinds of the replies to them."""

    publish: str
    subscribe: str
    unsubscribe: str
    message: bytes
    subscribed: bytes


PLAIN = Commands("PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE", b"message", b"subscribe")
#: Redis Cluster 7.0 or newer: a message goes to the nodes of its channel's slot, not to all nodes.
SHARDED = Commands("SPUBLISH", "SSUBSCRIBE", "SUNSUBSCRIBE", b"smessage", b"ssubscribe")


class Owner(Protocol):
    """The owner of links; called outside the loop."""

    def received(self, messages: list[tuple[bytes, bytes]], channels: list[bytes]) -> None:
        """Handle messages as (channel, value), and channels that are subscribed from now on."""

    def link_changed(self) -> None:
        """Note that a link has connected or disconnected."""

    def slot_moved(self) -> None:
        """Note that a channel now belongs to another server."""


class Incoming:
    """The subscriptions of one link and the connection that receives their messages. Names and values are bytes.

    Two background tasks share the connection: one calls `open`, `receive` and `close` and reads it, the other calls
    `send_changes` and writes to it. `change` may be called from any thread.
    """

    def __init__(self, commands: Commands, owner: Owner, batch: int = 0) -> None:
        self._commands, self._owner = commands, owner
        # A node of a cluster refuses a command that names channels of several slots.
        self._batch = batch or MAX_CHANNELS
        self._lock = allocate_lock()
        self.channels: set[bytes] = set()
        #: (whether to subscribe, channel): changes that have not been sent yet.
        self._changes: deque[tuple[bool, bytes]] = deque()
        self._connection: Any = None
        self._received_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None

    def idle_seconds(self) -> float:
        """Return the seconds since anything arrived."""
        return time.monotonic() - self._received_at

    def change(self, is_wanted: bool, channels: Iterable[bytes]) -> None:
        """Subscribe to channels, or end their subscriptions; from any thread."""
        with self._lock:
            for channel in channels:
                if (channel in self.channels) == is_wanted:
                    continue
                (self.channels.add if is_wanted else self.channels.remove)(channel)
                self._changes.append((is_wanted, channel))

    # ---- the task that reads ---------------------------------------------------------------------------------------

    def open(self, connection: Any) -> None:
        """Subscribe to all channels on a new connection."""
        with self._lock:
            self._changes.clear()
            channels = list(self.channels)
        self._send(connection, self._commands.subscribe, channels)
        # From here on the other task writes to the connection, and this one only reads.
        self._connection = connection

    def receive(self) -> None:
        """Wait for messages and pass them to the owner; raise redis.TimeoutError if the server does not even pong."""
        replies = self._read(self._connection)
        whole = [reply for reply in replies if len(reply) == 3]
        messages = [(name, value) for kind, name, value in whole if kind == self._commands.message]
        subscribed = [name for kind, name, _ in whole if kind == self._commands.subscribed]
        # A node ends subscriptions by itself when it gives a slot away.
        if any(kind == b"sunsubscribe" and name in self.channels for kind, name, _ in whole):
            self._owner.slot_moved()
        if messages or subscribed:
            self._owner.received(messages, subscribed)

    def close(self) -> None:
        """Note that the connection is gone."""
        self._connection = None

    def _read(self, connection: Any) -> list[Any]:
        try:
            replies = [connection.read_response(disable_decoding=True, disconnect_on_error=False)]
        except redis.TimeoutError:
            connection.send_command("PING", check_health=False)
            replies = [connection.read_response(disable_decoding=True)]
        self._received_at = time.monotonic()
        while len(replies) < MAX_BATCH and _has_buffered(connection):
            replies.append(connection.read_response(disable_decoding=True))
        return replies

    # ---- the task that writes --------------------------------------------------------------------------------------

    def send_changes(self) -> None:
        """Send the changed subscriptions; of several changes of one channel only the last counts."""
        connection = self._connection
        if connection is None or not self._changes:
            return
        with self._lock:
            changes = {channel: is_wanted for is_wanted, channel in self._changes}
            self._changes.clear()
        commands = self._commands
        for is_wanted, command in ((False, commands.unsubscribe), (True, commands.subscribe)):
            channels = [channel for channel, wanted in changes.items() if wanted == is_wanted]
            self._send(connection, command, channels)

    def _send(self, connection: Any, command: str, channels: list[bytes]) -> None:
        for start in range(0, len(channels), self._batch):
            connection.send_command(command, *channels[start : start + self._batch], check_health=False)


def _has_buffered(connection: Any) -> bool:
    """Return whether part of another reply has been read already.

    `can_read` would ask the socket too. Under gevent that costs a turn of its loop for each message: a twelfth of the
    time of a worker that only receives.
    """
    has_data: bool = connection._parser._reader.has_data()
    return has_data
