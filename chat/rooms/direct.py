"""Direct messages on this worker: the order of each conversation, and delivery to both users."""

from __future__ import annotations

from ..wire.codec import NATIVE, Codec
from ..wire.envelope import Envelope, participants
from .dedupe import REMEMBERED_DIRECT, Dedupe
from .member import Member
from .seq_gate import Conversations, SeqGate
from .users import ConnectedUsers


class DirectMessages:
    """Delivers direct messages to the connections of their two users. In the loop."""

    def __init__(self, users: ConnectedUsers) -> None:
        self._users = users
        #: The seq gates of stored conversations.
        self.conversations = Conversations()
        #: Recent ids of ephemeral ones.
        self.dedupe = Dedupe(REMEMBERED_DIRECT)
        #: The codecs in use beside the native one. They may keep messages for disconnected clients.
        self.codecs: dict[Codec, None] = {}

    def is_relevant(self, name: str) -> bool:
        """Tell whether a conversation has messages to deliver or to keep on this worker."""
        return any(self._users.is_expected(user_id) for user_id in participants(name) or ())

    def deliver(self, envelope: Envelope, gate: SeqGate) -> None:
        """Pass a stored message through the gate of its conversation, and send what the gate lets through."""
        for ready in gate.take(envelope):
            self.send(ready)

    def send(self, envelope: Envelope) -> None:
        """Send a message to all connections of the receiver, and to the sender's other extended ones."""
        sender = envelope.sender
        frame = NATIVE.chat(envelope)
        others = self._encode_others(envelope) if self.codecs else None
        receiver = self._users.get(envelope.to_id)
        for client in receiver.clients if receiver is not None else ():
            if _is_due(client, envelope):
                client.enqueue(others.get(client.wire.codec, frame) if others else frame)
        _confirm(envelope)
        own = self._users.get(envelope.user.id) if envelope.user is not None else None
        if own is None or own is receiver:
            return
        for client in own.clients:
            if client is not sender and client.extended and _is_due(client, envelope):
                client.enqueue(others.get(client.wire.codec, frame) if others else frame)

    def _encode_others(self, envelope: Envelope) -> dict[Codec, bytes]:
        to_oneself = envelope.user is not None and envelope.to_id == envelope.user.id
        skip = None if to_oneself else envelope.sender
        return {codec: codec.chat(envelope, skip) for codec in self.codecs if codec.recoverable}


def _confirm(envelope: Envelope) -> None:
    """Send the connection that the message came from what its codec confirms a direct message with."""
    sender = envelope.sender
    if sender is None or sender.user is not envelope.user or sender.closing:
        return
    confirmation = sender.wire.codec.sender_copy(envelope)
    if confirmation:
        sender.enqueue(confirmation)


def _is_due(client: Member, envelope: Envelope) -> bool:
    """Tell whether a direct message is sent to `client` now. A message below its floor was sent or comes by Join."""
    seq, room = envelope.seq, envelope.room
    if seq is None or not client.extended:
        return True
    assert room is not None
    if client.floors is None:
        client.floors = {}
    return seq >= client.floors.setdefault(room, seq)
