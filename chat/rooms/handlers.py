"""The handler of each message type: one table, of which every app has a copy that it may add to."""

from __future__ import annotations

from ..identity.addressing import Ambiguous, choose
from ..wire.envelope import Envelope, Identity, MessageType, direct_room
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
    """Type 3: send a message to all connections of one user. The codec has checked that `to` or `to_id` is given."""
    envelope.user, envelope.sender = client.user, client
    if not address_ephemeral(chat, envelope):
        _store(chat, envelope)
        return
    fresh = chat.hub.direct.dedupe.register(envelope)
    _acknowledge(chat, client, envelope)
    if fresh:
        chat.hub.direct.send(envelope)
        chat.hub.peers.publish_ephemeral(envelope)
        chat.services.message_sent(client, envelope)


def address_ephemeral(chat: Dispatcher, envelope: Envelope) -> bool:
    """Complete the receiver of a direct message from the connected users; return whether its conversation is ephemeral.

    In an ephemeral one only connected users can be addressed: raises ChatError unknown_user or ambiguous_to. For any
    other the store chooses between all users.
    """
    users = chat.hub.users
    if envelope.to_id is not None:
        receiver = users.find_identity(envelope.to_id)
        envelope.to = receiver.username if receiver is not None else None
        found: Identity | Ambiguous | None = receiver
    else:
        envelope.connected = users.named(envelope.to or "")
        found = choose(envelope.to or "", envelope.connected)
    to_id = found.id if isinstance(found, Identity) else envelope.to_id
    room = (
        direct_room(envelope.user.id if envelope.user is not None else "", to_id)
        if to_id is not None
        else None
    )
    if not chat.is_ephemeral_direct(room):
        return False
    if isinstance(found, Ambiguous):
        raise ChatError("ambiguous_to", envelope.id, users=found.users)
    if found is None:
        raise ChatError("unknown_user", envelope.id)
    envelope.to_id, envelope.to = found
    envelope.room = room
    return True


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
