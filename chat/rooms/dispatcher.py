"""Passes clients' messages through the rate limit to the handlers of their types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..wire.envelope import Envelope
from ..wire.errors import ChatError
from .hub import Hub
from .member import Member

Handler = Callable[["Dispatcher", Member, Envelope], None]


class Services(Protocol):
    """What handlers request that may block. Each method returns at once; the work runs outside the tick."""

    def renew(self, client: Member, envelope: Envelope) -> None:
        """Check the fresh token of an Auth message, and answer it."""

    def message_sent(self, client: Member, envelope: Envelope) -> None:
        """Signal to the site that an ephemeral message was delivered."""

    def store(self, envelope: Envelope, chosen: bool) -> None:
        """Store a message, then acknowledge and deliver it; ChatError where too many wait to be stored."""

    def join(self, client: Member, envelope: Envelope) -> None:
        """Let a client join the room that a Join names; ChatError where it is in too many."""

    def leave(self, client: Member, envelope: Envelope) -> None:
        """Unsubscribe a client from a room and confirm it."""

    def unsubscribe(self, client: Member, room: str) -> None:
        """Unsubscribe a client from a room."""

    def read(self, client: Member, envelope: Envelope) -> None:
        """Note how far a user has read; ChatError where too many notes wait."""


class Dispatcher:
    """The messages of all clients, whatever their protocol, reach the handlers through this."""

    def __init__(self, hub: Hub, services: Services, table: dict[int, Handler]) -> None:
        self.hub = hub
        self.settings = hub.settings
        self.services = services
        #: {type: handler}; handlers of a site may call others by it.
        self.table = table
        self.max_chars = hub.settings.max_message_chars
        self._is_limited = hub.settings.rate_limit > 0
        self._all_direct_ephemeral = "dm:*" in hub.settings.ephemeral_rooms

    def serve(self, client: Member, envelope: Envelope) -> None:
        """Pass a message to its handler; raise ChatError where that refuses it, or there is none."""
        handler = self.table.get(envelope.type)
        if handler is None:
            raise ChatError("unknown_type", envelope.id)
        if envelope.id is not None or envelope.type > 3:
            client.extended = True
        handler(self, client, envelope)

    def count(self, client: Member) -> None:
        """Count a message of `client`; raise ChatError where it exceeds the rate limit."""
        self.hub.stats.messages_in += 1
        if self._is_limited:
            self._take_token(client)

    def is_ephemeral_direct(self, room: str | None) -> bool:
        """Tell whether a direct conversation is ephemeral; `room` is None where the receiver is not connected."""
        # Checked before the patterns, which are matched once for each conversation's name: most sites have none.
        return self._all_direct_ephemeral or (room is not None and self.settings.is_ephemeral(room))

    def _take_token(self, client: Member) -> None:
        assert client.user is not None
        user = self.hub.users.get(client.user.id)
        if user is None or user.bucket is None:
            return
        wait = user.bucket.take(self.hub.now)
        if not wait:
            return
        if user.bucket.refused >= self.settings.flood_limit:
            wait = self.settings.rate_burst / self.settings.rate_limit
            self.hub.users.block(client.user.id, wait)
            raise ChatError("flooding", retry_after=wait)
        raise ChatError("rate_limited", retry_after=wait)
