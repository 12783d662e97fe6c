"""The site's signals (connect, disconnect, message), and rows for users who connect."""

from __future__ import annotations

from typing import Any

from ..loop.jobs import Jobs
from ..rooms.hub import Hub
from ..rooms.member import Member
from ..wire.envelope import Envelope, Identity
from .site import SiteHooks
from .tick_log import TickLog

#: Seconds after which users who have connected are looked up in the users' table, all of them at once.
ENSURE_USERS_AFTER = 0.25


class Signals:
    """Queues signals as jobs of the session that causes them. Its methods are called in ticks."""

    def __init__(self, hub: Hub, jobs: Jobs, hooks: SiteHooks, log: TickLog) -> None:
        self._hub = hub
        self._jobs = jobs
        self._hooks = hooks
        self._receivers = hooks.receivers
        self._log = log
        #: Users who have connected since `_ensure_users` last ran, by id: of two names, the later one counts.
        self._connected: dict[str, Identity] = {}

    def connected(self, client: Member) -> None:
        """Signal that `client` has been admitted, and see to it that its user has a row."""
        assert client.user is not None
        if not self._connected:
            self._hub.reactor.call_later(ENSURE_USERS_AFTER, self._ensure_users)
        self._connected[client.user.id] = client.user
        if self._receivers["connect"]:
            self._queue(client, "connect", identity=client.user)

    def _ensure_users(self) -> None:
        connected, self._connected = self._connected.values(), {}
        self._jobs.put_last("ensure users", self._hooks.ensure_users, *connected)

    def disconnected(self, client: Member) -> None:
        """Signal that `client` has left the hub."""
        if self._receivers["disconnect"]:
            self._queue(client, "disconnect", identity=client.user, code=client.close_code)

    def message_sent(self, client: Member | None, envelope: Envelope) -> None:
        """Signal that a client's message was delivered; not one that the site sent itself (`client` None)."""
        if client is not None and self._receivers["message"]:
            self._queue(
                client,
                "message",
                identity=envelope.user,
                room=envelope.room,
                to=envelope.to,
                text=envelope.data,
                id=envelope.id,
                seq=envelope.seq,
                ts=envelope.ts,
            )

    def _queue(self, client: Member, kind: str, **facts: Any) -> None:
        if not self._jobs.put(client, self._send, kind, facts):
            self._log.error(f"a signal ({kind}) was dropped: its session's queue is full")

    def _send(self, kind: str, facts: dict[str, Any]) -> None:
        self._hooks.announce(kind, **facts)
