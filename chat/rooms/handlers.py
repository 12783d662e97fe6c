"""What each message type does: one table, of which every app has its own copy and may add to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ..config import Settings
from ..wire.codec import NATIVE
from ..wire.decoding import decode
from ..wire.envelope import Envelope, MessageType, direct_room
from ..wire.errors import ChatError
from .hub import Hub
from .member import Member
from .room import Room
from .sweeper import Heartbeat

Handler = Callable[["Dispatcher", Member, Envelope], None]


class Services(Protocol):
    """What handlers ask for that may block, and so runs outside the tick."""

    def renew(self, client: Member, envelope: Envelope) -> None:
        """Check the fresh token of an Auth message, and answer it."""

    def message_sent(self, client: Member, envelope: Envelope) -> None:
        """Tell the site of a message that was delivered."""

    def store(self, envelope: Envelope, chosen: bool) -> None:
        """Store a message, then acknowledge and deliver it; ChatError where too much waits to be stored."""

    def join(self, client: Member, envelope: Envelope) -> None:
        """Let a client into the room that a Join names; ChatError where it is in too many."""

    def leave(self, client: Member, envelope: Envelope) -> None:
        """Let a client hear a room no more, and tell it so."""

    def unsubscribe(self, client: Member, room: str) -> None:
        """Let a client hear a room no more."""

    def read(self, client: Member, envelope: Envelope) -> None:
        """Note how far a user has read; ChatError where too much is to be noted already."""


class Dispatcher:
    """Takes what clients ask for through limits and table, whatever wire brought it."""

    def __init__(self, settings: Settings, services: Services, table: dict[int, Handler]) -> None:
        self.hub: Hub
        self.settings = settings
        self.services = services
        self.table = table
        self.max_chars = settings.max_message_chars
        self._limited = settings.rate_limit > 0
        self._no_direct_kept = "dm:*" in settings.ephemeral_rooms

    def serve(self, client: Member, envelope: Envelope) -> None:
        """Hand what `client` asked for to its handler; raise ChatError where that cannot be."""
        handler = self.table.get(envelope.type)
        if handler is None:
            raise ChatError("unknown_type", envelope.id)
        if envelope.id is not None or envelope.type > 3:
            client.extended = True
        handler(self, client, envelope)

    def count(self, client: Member) -> None:
        """Count a message of `client`; raise ChatError when it is one too many."""
        self.hub.stats.messages_in += 1
        if self._limited:
            self._take_token(client)

    def is_ephemeral_direct(self, room: str | None) -> bool:
        """Tell whether a direct conversation keeps nothing; `room` is None where its receiver is not here."""
        # Before its pattern is asked for each new conversation's name: most sites have none.
        return self._no_direct_kept or (room is not None and self.settings.is_ephemeral(room))

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


class NativeWire:
    """What raw WebSocket clients speak; whatever is bad ends as an Error to its sender."""

    codec = NATIVE

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._heartbeat = Heartbeat(dispatcher.settings)

    def on_text(self, member: Any, payload: bytes) -> None:
        """Serve one message."""
        dispatcher = self._dispatcher
        try:
            dispatcher.count(member)
            dispatcher.serve(member, decode(payload, dispatcher.max_chars))
        except ChatError as error:
            if error.code == "rate_limited":
                error.ref = self._ref(payload)
            dispatcher.hub.refuse(member, error)

    def _ref(self, payload: bytes) -> str | None:
        try:
            return decode(payload, self._dispatcher.max_chars).id
        except ChatError as error:
            return error.ref

    def on_binary(self, member: Any, payload: bytes) -> None:
        """Refuse a binary message, which nothing understands yet."""
        try:
            self._dispatcher.count(member)
            raise ChatError("binary")
        except ChatError as error:
            self._dispatcher.hub.refuse(member, error)

    def check_heartbeat(self, member: Any, now: float) -> None:
        """Look whether it is still there."""
        self._heartbeat.check(member, now)

    def on_close(self, member: Any) -> None:
        """Nothing is kept of a raw client."""


def group_list(chat: Dispatcher, client: Member, envelope: Envelope) -> None:
    """Type 1: answer with the room's roster."""
    room = joined_room(chat, client, envelope)
    client.enqueue(room.roster.list_for(client.wire.codec).frame())


def group_chat(chat: Dispatcher, client: Member, envelope: Envelope) -> None:
    """Type 2: say it to everyone in the room, the sender too; acknowledge it where it has an id."""
    room = joined_room(chat, client, envelope)
    envelope.room, envelope.user, envelope.sender = room.name, client.user, client
    if room.dedupe is None:
        _store(chat, envelope)
        return
    fresh = room.dedupe.register(envelope)
    _acknowledge(chat, client, envelope)
    if fresh:
        room.broadcast(envelope)
        chat.hub.peers.publish_ephemeral(envelope)
        chat.services.message_sent(client, envelope)


def joined_room(chat: Dispatcher, client: Member, envelope: Envelope) -> Room:
    """Return the room that a message is about; raise ChatError where its sender is not in it."""
    room = chat.hub.rooms.get(envelope.room)
    if room is None or client not in room:
        raise ChatError("not_joined", envelope.id)
    return room


def single_chat(chat: Dispatcher, client: Member, envelope: Envelope) -> None:
    """Type 3: say it to one user, on all sockets; a missing or empty `to` never comes this far."""
    assert client.user is not None and envelope.to is not None
    receiver = chat.hub.users.find_identity(envelope.to)
    envelope.user, envelope.sender = client.user, client
    if receiver is not None:
        envelope.to_id, envelope.to = receiver
        envelope.room = direct_room(client.user.id, envelope.to_id)
    if not chat.is_ephemeral_direct(envelope.room):
        _store(chat, envelope)
        return
    if receiver is None:
        raise ChatError("unknown_user", envelope.id)
    fresh = chat.hub.direct.dedupe.register(envelope)
    _acknowledge(chat, client, envelope)
    if fresh:
        chat.hub.direct.send(envelope)
        chat.hub.peers.publish_ephemeral(envelope)
        chat.services.message_sent(client, envelope)


def _store(chat: Dispatcher, envelope: Envelope) -> None:
    chosen = envelope.id is not None
    envelope.id = envelope.id or chat.hub.new_id()
    chat.services.store(envelope, chosen)


def _acknowledge(chat: Dispatcher, client: Member, envelope: Envelope) -> None:
    envelope.id = envelope.id or chat.hub.new_id()
    if envelope.reply is not None:
        client.enqueue(client.wire.codec.ack(envelope))


def join(chat: Dispatcher, client: Member, envelope: Envelope) -> None:
    """Type 6: let the client into a room, having told it what it missed."""
    chat.services.join(client, envelope)


def leave(chat: Dispatcher, client: Member, envelope: Envelope) -> None:
    """Type 7: let the client hear a room no more."""
    chat.services.leave(client, envelope)


def read(chat: Dispatcher, client: Member, envelope: Envelope) -> None:
    """Type 10: note how far the user has read."""
    chat.services.read(client, envelope)


def auth(chat: Dispatcher, client: Member, envelope: Envelope) -> None:
    """Type 9: take a fresh token for this connection."""
    chat.services.renew(client, envelope)


HANDLERS: dict[int, Handler] = {
    MessageType.GROUP_LIST: group_list,
    MessageType.GROUP_CHAT: group_chat,
    MessageType.SINGLE_CHAT: single_chat,
    MessageType.JOIN: join,
    MessageType.LEAVE: leave,
    MessageType.AUTH: auth,
    MessageType.READ: read,
}
