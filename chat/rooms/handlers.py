"""The handler of each message type: one table, of which every app has a copy that it may add to."""

from __future__ import annotations

from ..wire.envelope import Envelope, MessageType, direct_room
from ..wire.errors import ChatError
from .dispatcher import Dispatcher, Handler
from .member import Member
from .room import Room


def group_list(chat: Dispatcher, client: Member, envelope: Envelope) -> None:
    """Type 1: answer with the room's roster."""
    room = joined_room(chat, client, envelope)
    client.enqueue(room.roster.list_for(client.wire.codec).frame())


def group_chat(chat: Dispatcher, client: Member, envelope: Envelope) -> None:
    """Type 2: send a message to all members of a room, the sender included; acknowledge it if it has an id."""
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
    """Return the room that a message names; raise ChatError where its sender is no member."""
    room = chat.hub.rooms.get(envelope.room)
    if room is None or client not in room:
        raise ChatError("not_joined", envelope.id)
    return room


def single_chat(chat: Dispatcher, client: Member, envelope: Envelope) -> None:
    """Type 3: send a message to all connections of one user. The codec has checked that `to` is not empty."""
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
    """Type 6: send the client what it missed of a room, then let it join."""
    chat.services.join(client, envelope)


def leave(chat: Dispatcher, client: Member, envelope: Envelope) -> None:
    """Type 7: unsubscribe the client from a room."""
    chat.services.leave(client, envelope)


def read(chat: Dispatcher, client: Member, envelope: Envelope) -> None:
    """Type 10: note how far the user has read."""
    chat.services.read(client, envelope)


def auth(chat: Dispatcher, client: Member, envelope: Envelope) -> None:
    """Type 9: renew the token of this connection."""
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
