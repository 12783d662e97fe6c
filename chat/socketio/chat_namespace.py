"""The chat as a Socket.IO namespace: events in, the same handlers as the raw wire, acks instead of Ack messages."""

from __future__ import annotations

from typing import Any

import orjson

from ..identity.guard import Grant
from ..loop.jobs import Jobs
from ..rooms.handlers import Dispatcher, joined_room
from ..rooms.member import Member
from ..store.history import StoreUnavailable
from ..wire import codec
from ..wire.envelope import Envelope, MessageType
from ..wire.errors import ChatError
from .codec import SocketIOCodec
from .connection import Connection
from .packets import Packet
from .resume import Comeback
from .subscriptions import SubscriptionStore

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

    def __init__(
        self,
        dispatcher: Dispatcher,
        namespace: str,
        speaks: SocketIOCodec,
        jobs: Jobs,
        seats: SubscriptionStore | None,
    ) -> None:
        self.namespace = namespace
        self._dispatcher = dispatcher
        self._codec = speaks
        self._jobs = jobs
        self._seats = seats

    def welcome(self, connection: Connection, granted: Grant) -> None:
        """Let the client in; one that comes back, into the rooms that it was in."""
        member = connection.engine_session.member
        member.expires, member.issued = granted.expires, granted.issued
        member.language, member.diff = connection.language, connection.wants_diffs
        hub, lobby = self._dispatcher.hub, connection.wants_lobby
        hub.codecs[self._codec] = None
        if connection.comeback is not None:
            hub.admit(member, granted.identity, greet=False, lobby=False)
            self._welcome_back(member, connection.comeback)
            return
        hub.admit(member, granted.identity, lobby=lobby)
        if lobby:
            connection.seats[hub.lobby.name] = member.entered + 1

    def _welcome_back(self, member: Member, comeback: Comeback) -> None:
        hub, seat = self._dispatcher.hub, comeback.saved.seat
        assert seat is not None
        member.floors = dict(seat.direct) or None
        for name, floor in seat.rooms.items():
            room = hub.room(name) or hub.open(name, None)
            hub.join(member, room, max(0, floor - 1))
            hub.send_roster(member, room)
        for name in comeback.lost:
            member.enqueue(self._codec.notice(MessageType.LEAVE, {"room": name}))
        for name in comeback.silent:
            told = {"room": name, "epoch": "", "recovered": False}
            member.enqueue(self._codec.notice(MessageType.SYNCED, told))

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
            elif envelope.type == MessageType.LEAVE and envelope.room in connection.seats:
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
            codec.check_id(id)
        return codec.read(kind, message, id, _WITH_ESCAPES, self._dispatcher.max_chars)

    def _answer_list(self, connection: Connection, reply: int, envelope: Envelope) -> None:
        room = joined_room(self._dispatcher, connection.engine_session.member, envelope)
        users = [codec.user_json(user) for user in room.roster]
        answer = {"type": int(MessageType.GROUP_LIST), "user": None, "room": room.name, "data": users}
        connection.send(self._codec.answer(reply, answer))

    def _leave(self, connection: Connection, envelope: Envelope) -> None:
        """Let the client hear a room no more, and answer once that holds for the case of a restart too."""
        assert envelope.room is not None
        if not self._jobs.put((connection.engine_session, "seats"), self._keep, connection, envelope):
            raise ChatError("rate_limited", envelope.id)
        self._dispatcher.services.unsubscribe(connection.engine_session.member, envelope.room)
        connection.seats.pop(envelope.room, None)

    def _keep(self, connection: Connection, envelope: Envelope) -> None:
        answer = self._tell_left
        try:
            if self._seats is not None:
                self._seats.keep(connection)
        except StoreUnavailable:
            answer = self._refuse
        self._dispatcher.hub.reactor.call_soon(answer, connection, envelope)

    def _tell_left(self, connection: Connection, envelope: Envelope) -> None:
        told = {"room": envelope.room}
        connection.send(self._codec.notice(MessageType.LEAVE, told, envelope.id, envelope.reply))

    def _refuse(self, connection: Connection, envelope: Envelope) -> None:
        error = ChatError("store_unavailable", envelope.id)
        error.reply = envelope.reply
        if connection.accepted:
            self._dispatcher.hub.refuse(connection.engine_session.member, error)


#: The text that the fields came from is gone; this one has each of them looked at.
_WITH_ESCAPES = orjson.dumps("\\")


def _good_id(id: Any) -> str | None:
    try:
        codec.check_id(id)
    except ChatError:
        return None
    return id
