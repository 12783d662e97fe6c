"""The chat as a Socket.IO namespace: events in, the same handlers as the raw wire, acks instead of Ack messages."""

from __future__ import annotations

from typing import Any

import orjson

from ..identity.guard import Grant
from ..loop.jobs import Jobs
from ..rooms.dispatcher import Dispatcher
from ..rooms.handlers import joined_room
from ..rooms.member import Member
from ..store.history import StoreUnavailable
from ..wire.decoding import check_id, read
from ..wire.envelope import Envelope, MessageType
from ..wire.errors import ChatError
from ..wire.messages import user_json
from .codec import SocketIOCodec
from .connection import Connection
from .packets import Packet
from .resumption import Resumption
from .subscriptions import SubscriptionStore

#: The message type of each event that clients send.
KINDS = {
    "group_list": int(MessageType.GROUP_LIST),
    "group_chat": int(MessageType.GROUP_CHAT),
    "single_chat": int(MessageType.SINGLE_CHAT),
    "join": int(MessageType.JOIN),
    "leave": int(MessageType.LEAVE),
    "auth": int(MessageType.AUTH),
    "read": int(MessageType.READ),
}


class ChatNamespace:
    """Serves the chat's events of one namespace. `subscriptions` is None where there is no store."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        name: str,
        codec: SocketIOCodec,
        jobs: Jobs,
        subscriptions: SubscriptionStore | None,
    ) -> None:
        self.name = name
        self._dispatcher = dispatcher
        self._codec = codec
        self._jobs = jobs
        self._subscriptions = subscriptions

    def admit(self, connection: Connection, granted: Grant) -> None:
        """Let the client into the chat; one that resumes, into the rooms that it was in."""
        member = connection.engine_session.member
        member.set_grant(granted)
        member.language, member.diff = connection.language, connection.wants_diffs
        hub, lobby = self._dispatcher.hub, connection.wants_lobby
        hub.direct.codecs[self._codec] = None
        if connection.resumption is not None:
            hub.admit(member, granted.identity, greet=False, lobby=False)
            self._restore_rooms(member, connection.resumption)
            return
        hub.admit(member, granted.identity, lobby=lobby)
        if lobby:
            connection.subscriptions[hub.lobby.name] = member.entered + 1

    def _restore_rooms(self, member: Member, resumption: Resumption) -> None:
        hub, subscriptions = self._dispatcher.hub, resumption.subscriptions
        member.floors = dict(subscriptions.direct) or None
        for name, floor in subscriptions.rooms.items():
            room = hub.rooms.get(name) or hub.rooms.open(name, None)
            hub.rooms.join(member, room, max(0, floor - 1))
            hub.rooms.send_roster(member, room)
        for name in resumption.lost_rooms:
            member.enqueue(self._codec.notice(MessageType.LEAVE, {"room": name}))
        for name in resumption.ephemeral_rooms:
            synced = {"room": name, "epoch": "", "recovered": False}
            member.enqueue(self._codec.notice(MessageType.SYNCED, synced))

    # ---- events --------------------------------------------------------------------------------------------------

    def serves(self, event: Any) -> bool:
        """Tell whether the chat itself serves the event."""
        return event in KINDS

    def event(self, connection: Connection, packet: Packet) -> None:
        """Serve a chat event; an error is returned as its ack, or as `chat_error` where none is wanted."""
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
            elif envelope.type == MessageType.LEAVE and envelope.room in connection.subscriptions:
                self._leave(connection, envelope)
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
            check_id(id)
        return read(kind, message, id, _WITH_ESCAPES, self._dispatcher.max_chars)

    def _answer_list(self, connection: Connection, reply: int, envelope: Envelope) -> None:
        room = joined_room(self._dispatcher, connection.engine_session.member, envelope)
        users = [user_json(user) for user in room.roster]
        answer = {"type": int(MessageType.GROUP_LIST), "user": None, "room": room.name, "data": users}
        connection.send(self._codec.answer(reply, answer))

    # ---- leaving a room ------------------------------------------------------------------------------------------

    def _leave(self, connection: Connection, envelope: Envelope) -> None:
        """Unsubscribe the client from a room, and confirm it once the store has that too."""
        assert envelope.room is not None
        key = connection.engine_session, "subscriptions"
        if not self._jobs.put(key, self._store_leave, connection, envelope):
            raise ChatError("rate_limited", envelope.id)
        self._dispatcher.services.unsubscribe(connection.engine_session.member, envelope.room)
        connection.subscriptions.pop(envelope.room, None)

    def _store_leave(self, connection: Connection, envelope: Envelope) -> None:
        answer = self._confirm_leave
        try:
            if self._subscriptions is not None:
                self._subscriptions.save(connection)
        except StoreUnavailable:
            answer = self._refuse_leave
        self._dispatcher.hub.reactor.call_soon(answer, connection, envelope)

    def _confirm_leave(self, connection: Connection, envelope: Envelope) -> None:
        left = {"room": envelope.room}
        connection.send(self._codec.notice(MessageType.LEAVE, left, envelope.id, envelope.reply))

    def _refuse_leave(self, connection: Connection, envelope: Envelope) -> None:
        error = ChatError("store_unavailable", envelope.id)
        error.reply = envelope.reply
        if connection.accepted:
            self._dispatcher.hub.refuse(connection.engine_session.member, error)


#: decoding.read is given this in place of the JSON text, which is gone; the escape in it has every field checked.
_WITH_ESCAPES = orjson.dumps("\\")


def _good_id(id: Any) -> str | None:
    try:
        check_id(id)
    except ChatError:
        return None
    return id
