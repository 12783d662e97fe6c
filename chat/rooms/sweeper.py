"""The one timer of all clients: heartbeats, expired tokens, unfinished messages, outboxes that stay full."""

from __future__ import annotations

from ..config import Settings
from ..wire.errors import ChatError, CloseCode
from ..wire.frames import PING, frame
from .client import CLOSE_TIMEOUT, Client
from .hub import Hub
from .member import Member

#: Clients checked in one tick, so that many clients do not make it long.
SLICE = 1_000
#: At most so many seconds pass between two checks of a client.
ROUND = 1.0


class Sweeper:
    """Checks all clients of a hub, a slice at a time, each once a round."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._round = sweep_round(hub.settings)
        self._queue: list[Member] = []
        self._started = hub.now
        hub.reactor.call_later(self._round, self.sweep)

    def sweep(self) -> None:
        """Check the next slice."""
        hub = self._hub
        if not self._queue:
            self._queue = hub.clients()
            self._started = hub.now
        batch, self._queue = self._queue[:SLICE], self._queue[SLICE:]
        for client in batch:
            try:
                self._check(client, hub.now)
            except Exception as error:
                hub.reactor.fail(client, error)
        hub.reactor.call_later(self._delay(), self.sweep)

    def _delay(self) -> float:
        left = max(0.0, self._started + self._round - self._hub.now)
        return left / (len(self._queue) // SLICE + 2) if self._queue else left

    def _check(self, client: Member, now: float) -> None:
        settings = self._hub.settings
        if client.gone:
            return
        if client.closing:
            if now - client.closing >= CLOSE_TIMEOUT:
                client.drop()
        elif client.expires <= now:
            self._expire(client)
        elif client.began and now - client.began >= settings.message_timeout:
            client.close(CloseCode.TOO_SLOW, "message never finished")
        elif now - client.behind_since >= settings.outbox_seconds:
            client.close(CloseCode.TOO_SLOW)
        else:
            client.wire.check_heartbeat(client, now)

    def _expire(self, client: Member) -> None:
        self._hub.refuse(client, ChatError("token_expired"))


class Heartbeat:
    """Pings silent WebSockets, and drops those that do not answer (RFC 6455 section 5.5.2)."""

    def __init__(self, settings: Settings) -> None:
        slack = sweep_round(settings)
        # Up to a round early, never late: a client that has vanished is dropped within interval + timeout.
        self._ping_after = max(settings.ping_interval - slack, slack)
        self._drop_after = max(settings.ping_timeout - slack, slack)

    def check(self, client: Client, now: float) -> None:
        """Ping or drop a client if that is due at monotonic seconds `now`."""
        if client.pinged:
            if now - client.pinged >= self._drop_after:
                client.drop()
        elif now - client.seen >= self._ping_after:
            client.pinged = now
            client.enqueue(frame(PING, b""))


def sweep_round(settings: Settings) -> float:
    """Return the seconds in which every client is checked once: at most a tenth of the shortest heartbeat."""
    beats = settings.ping_interval, settings.ping_timeout, settings.io_ping_interval, settings.io_ping_timeout
    return min(ROUND, min(beats) / 10)
