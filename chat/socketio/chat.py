"""The chat as a Socket.IO namespace: events in, the same handlers as the raw wire, acks instead of Ack messages."""

from __future__ import annotations

from typing import Any

import orjson

from .. import codec
from ..auth import Pass
from ..envelope import Envelope, MessageType
from ..errors import ChatError
from ..handlers import Dispatcher, joined
from .codec import SocketIOCodec
from .connection import Connection
from .packets import Packet

KINDS = {
    "group_list": int(MessageType.GROUP_LIST),
    "group_chat": int(MessageType.GROUP_CHAT),
    "single_chat": int(MessageType.SINGLE_CHAT),
    "join": int(MessageType.JOIN),
    "leave": int(MessageType.LEAVE),
    "auth": int(MessageType.AUTH),
    "read": int(MessageType.READ),
}


class Chat:
    """Serves the chat's events of one namespace."""

    def __init__(self, dispatcher: Dispatcher, namespace: str, speaks: SocketIOCodec) -> None:
        self.namespace = namespace
        self._dispatcher = dispatcher
        self._codec = speaks

    def welcome(self, connection: Connection, granted: Pass, greet: bool) -> None:
        """Let the client in."""
        member = connection.engine_session.member
        member.expires, member.issued = granted.expires, granted.issued
        member.language, member.diff = connection.language, connection.wants_diffs
        hub = self._dispatcher.hub
        hub.codecs[self._codec] = None
        hub.admit(member, granted.identity, greet)

    def serves(self, event: Any) -> bool:
        """Tell whether the chat itself serves the event."""
        return event in KINDS

    def event(self, connection: Connection, packet: Packet) -> None:
        """Serve a chat event; whatever is bad comes back as its ack, or as `chat_error` where none is wanted."""
        member, dispatcher = connection.engine_session.member, self._dispatcher
        message = packet.data[1] if len(packet.data) == 2 else {} if len(packet.data) == 1 else None
        try:
            dispatcher.count(member)
            if type(message) is not dict:
                raise ChatError("not_an_object")
            envelope = self._read(KINDS[packet.data[0]], message)
            envelope.reply = packet.id
            if envelope.type == MessageType.GROUP_LIST and packet.id is not None:
                self._answer_list(connection, packet.id, envelope)
            else:
                dispatcher.serve(member, envelope)
        except ChatError as error:
            error.reply = packet.id
            if error.ref is None and type(message) is dict:
                error.ref = _good_id(message.get("id"))
            dispatcher.hub.refuse(member, error)

    def _read(self, kind: int, message: dict[str, Any]) -> Envelope:
        id = message.get("id")
        if id is not None:
            codec.check_id(id)
        return codec.read(kind, message, id, _WITH_ESCAPES, self._dispatcher.max_chars)

    def _answer_list(self, connection: Connection, reply: int, envelope: Envelope) -> None:
        room = joined(self._dispatcher, connection.engine_session.member, envelope)
        users = [codec.user_json(user) for user in room.roster]
        answer = {"type": int(MessageType.GROUP_LIST), "user": None, "room": room.name, "data": users}
        connection.send(self._codec.answer(reply, answer))


#: The text that the fields came from is gone; this one has each of them looked at.
_WITH_ESCAPES = orjson.dumps("\\")


def _good_id(id: Any) -> str | None:
    try:
        codec.check_id(id)
    except ChatError:
        return None
    return id
