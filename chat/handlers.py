"""What each message type does: one table, of which every app has its own copy and may add to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from . import codec
from .codec import NATIVE
from .config import Settings
from .envelope import Envelope, MessageType
from .errors import ChatError
from .hub import Hub, direct_room
from .member import Member
from .sweeper import Heartbeat

Handler = Callable[["Dispatcher", Member, Envelope], None]


class Outside(Protocol):
    """What handlers ask for that may block, and so runs outside the tick."""

    def renew(self, client: Member, envelope: Envelope) -> None:
        """Check the fresh token of an Auth message, and answer it."""

    def said(self, client: Member, envelope: Envelope) -> None:
        """Tell the site of a message that was delivered."""


class Dispatcher:
    """Takes what clients ask for through limits and table, whatever wire brought it."""

    def __init__(self, settings: Settings, outside: Outside, table: dict[int, Handler]) -> None:
        self.hub: Hub
        self.settings = settings
        self.outside = outside
        self.table = table
        self.max_chars = settings.max_message_chars
        self._limited = settings.rate_limit > 0

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

    def _take_token(self, client: Member) -> None:
        assert client.user is not None
        user = self.hub.user(client.user.id)
        if user is None or user.bucket is None:
            return
        wait = user.bucket.take(self.hub.now)
        if not wait:
            return
        if user.bucket.refused >= self.settings.flood_limit:
            wait = self.settings.rate_burst / self.settings.rate_limit
            self.hub.shut_out(client.user.id, wait)
            raise ChatError("flooding", retry_after=wait)
        raise ChatError("rate_limited", retry_after=wait)


class NativeWire:
    """What raw WebSocket clients speak; whatever is bad ends as an Error to its sender."""

    codec = NATIVE

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._heartbeat = Heartbeat(dispatcher.settings)

    def text(self, member: Any, payload: bytes) -> None:
        """Serve one message."""
        dispatcher = self._dispatcher
        try:
            dispatcher.count(member)
            dispatcher.serve(member, codec.decode(payload, dispatcher.max_chars))
        except ChatError as error:
            if error.code == "rate_limited":
                error.ref = self._ref(payload)
            dispatcher.hub.refuse(member, error)

    def _ref(self, payload: bytes) -> str | None:
        try:
            return codec.decode(payload, self._dispatcher.max_chars).id
        except ChatError as error:
            return error.ref

    def binary(self, member: Any, payload: bytes) -> None:
        """Refuse a binary message, which nothing understands yet."""
        try:
            self._dispatcher.count(member)
            raise ChatError("binary")
        except ChatError as error:
            self._dispatcher.hub.refuse(member, error)

    def beat(self, member: Any, now: float) -> None:
        """Look whether it is still there."""
        self._heartbeat.beat(member, now)

    def left(self, member: Any) -> None:
        """Nothing is kept of a raw client."""


def group_list(chat: Dispatcher, client: Member, envelope: Envelope) -> None:
    """Type 1: answer with the room's roster."""
    client.enqueue(chat.hub.room(envelope.room).roster.list_for(client.wire.codec).frame())


def group_chat(chat: Dispatcher, client: Member, envelope: Envelope) -> None:
    """Type 2: say it to everyone in the room, the sender too; acknowledge it where it has an id."""
    room = chat.hub.room(envelope.room)
    envelope.room, envelope.user = room.name, client.user
    fresh = room.order.place(envelope)
    envelope.id = envelope.id or chat.hub.new_id()
    if envelope.reply is not None:
        client.enqueue(client.wire.codec.ack(envelope))
    if fresh:
        room.say(envelope)
        chat.outside.said(client, envelope)


def single_chat(chat: Dispatcher, client: Member, envelope: Envelope) -> None:
    """Type 3: say it to one user, on all sockets; a missing or empty `to` never comes this far."""
    assert client.user is not None and envelope.to is not None
    hub = chat.hub
    receiver = hub.named(envelope.to)
    if receiver is None:
        raise ChatError("unknown_user", envelope.id)
    receiver_id, envelope.to = receiver.identity
    envelope.user = client.user
    envelope.room = direct_room(client.user.id, receiver_id)
    fresh = hub.conversations.order(envelope.room).place(envelope)
    envelope.id = envelope.id or hub.new_id()
    if envelope.reply is not None:
        client.enqueue(client.wire.codec.ack(envelope))
    if fresh:
        hub.direct(envelope, receiver, client)
        chat.outside.said(client, envelope)


def auth(chat: Dispatcher, client: Member, envelope: Envelope) -> None:
    """Type 9: take a fresh token for this connection."""
    chat.outside.renew(client, envelope)


HANDLERS: dict[int, Handler] = {
    MessageType.GROUP_LIST: group_list,
    MessageType.GROUP_CHAT: group_chat,
    MessageType.SINGLE_CHAT: single_chat,
    MessageType.AUTH: auth,
}
