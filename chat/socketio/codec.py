"""The chat's messages as Socket.IO events of one namespace; the fields are those of the raw wire."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from ..wire.envelope import Envelope, Identity, MessageType
from ..wire.errors import ChatError
from ..wire.messages import WELCOME, chat_json, error_message, user_json
from ..wire.roster_list import RosterList
from . import packets
from .engine_packets import MESSAGE
from .packets import ACK, EVENT, Prepared
from .recovery import Recovery

#: The event that carries each type of message.
EVENTS = {
    MessageType.ERROR: "chat_error",
    MessageType.GROUP_LIST: "group_list",
    MessageType.GROUP_CHAT: "group_chat",
    MessageType.SINGLE_CHAT: "single_chat",
    MessageType.ROSTER_DIFF: "roster_diff",
    MessageType.LEAVE: "leave",
    MessageType.SYNCED: "synced",
    MessageType.AUTH: "auth",
    MessageType.READ: "read",
    MessageType.ROOMS: "rooms",
    MessageType.INVITATION: "invitation",
}
#: The event that carries nothing but an offset.
_OFFSET = Prepared(b'["chat_offset"]', [])
_HEADS = {int(kind): b'["%b",' % name.encode() for kind, name in EVENTS.items()}


class SocketIOCodec:
    """The codec of Socket.IO clients in `namespace`."""

    def __init__(self, namespace: str, recovery: Recovery) -> None:
        self._namespace = namespace
        self._prefix = packets.prefix(namespace)
        self._recovery = recovery

    @property
    def recoverable(self) -> bool:
        """Whether messages are encoded even where no client is connected: one may reconnect and resume."""
        return self._recovery.keeps

    def welcome(self) -> bytes:
        return self._event(MessageType.GROUP_CHAT, {"type": 2, "user": None, "data": WELCOME})

    def chat(self, envelope: Envelope, skip: object = None) -> bytes:
        message, cursor = envelope.stored, self._recovery.cursor
        store = cursor.current() if message is None else cursor.advance(message)
        key = None if message is None else (message.room, message.seq)
        return self._recovery.record(
            self._namespace, scopes_of(envelope), skip, EVENT, _prepare(envelope), store, key
        )

    def draft(self, envelope: Envelope) -> Envelope:
        return envelope

    def seal(self, drafts: list[Envelope]) -> bytes:
        # Encoded only now that it is sent: its offset says what its receivers were sent before it.
        return b"".join(map(self.chat, drafts))

    def sender_copy(self, envelope: Envelope) -> bytes:
        offset = self._recovery.offset(self._recovery.cursor.current())
        if offset is None or envelope.stored is None:
            return b""
        return packets.assemble(EVENT, self._prefix, None, _OFFSET, offset)

    def ack(self, envelope: Envelope) -> bytes:
        answer = {"id": envelope.id, "room": envelope.room, "ts": envelope.ts}
        if envelope.seq is not None:
            answer["seq"] = envelope.seq
        return self.answer(envelope.reply, answer)

    def error(self, error: ChatError, language: str) -> bytes:
        message = error_message(error, language)
        if error.reply is None:
            return self._event(MessageType.ERROR, message)
        del message["type"], message["user"]
        return self.answer(error.reply, {"error": message.pop("code"), **message})

    def roster_diff(self, room: str, joined: Iterable[Identity], left: Iterable[str]) -> bytes:
        users = [user_json(user) for user in joined]
        return self._event(
            MessageType.ROSTER_DIFF, {"type": 5, "room": room, "joined": users, "left": list(left)}
        )

    def renewed(self, expires_ms: int | None, reply: str | int | None = None) -> bytes:
        if reply is None:
            return self._event(MessageType.AUTH, {"type": 9, "data": expires_ms})
        return self.answer(reply, {"data": expires_ms})

    def notice(
        self, kind: int, fields: dict[str, Any], ref: str | None = None, reply: str | int | None = None
    ) -> bytes:
        if reply is not None:
            return self.answer(reply, fields if ref is None else {**fields, "ref": ref})
        message = {"type": int(kind), **fields}
        return self._event(MessageType(kind), message if ref is None else {**message, "ref": ref})

    def replay(self, envelope: Envelope) -> bytes:
        message, cursor = envelope.stored, self._recovery.cursor
        store = cursor.current() if message is None else cursor.out_of_turn(message)
        return self.replay_at(envelope, self._recovery.offset(store))

    def replay_at(self, envelope: Envelope, offset: bytes | None) -> bytes:
        """Encode a message that others received earlier, for a client that is at `offset` once it has it."""
        return packets.assemble(EVENT, self._prefix, None, _prepare(envelope), offset)

    def make_list(self, room: str) -> RosterList:
        head = b'%b%d%b["group_list",{"type":1,"user":null,"room":%b,"data":[' % (
            MESSAGE,
            EVENT,
            self._prefix,
            orjson.dumps(room),
        )
        return RosterList(head, b"]}]", _entry)

    def answer(self, reply: str | int | None, answer: Any) -> bytes:
        """Return the ack that the request `reply` waits for."""
        assert isinstance(reply, int)
        return packets.assemble(ACK, self._prefix, reply, packets.prepare([answer]))

    def _event(self, kind: MessageType, message: dict[str, Any]) -> bytes:
        return packets.assemble(EVENT, self._prefix, None, packets.prepare([EVENTS[kind], message]))


def scopes_of(envelope: Envelope) -> tuple[Any, ...]:
    """Return the scopes of a message: its room, or the ids of its two users."""
    if envelope.type == MessageType.SINGLE_CHAT:
        sender = () if envelope.user is None else (("user", envelope.user.id),)
        return (("user", envelope.to_id), *sender)
    return (("room", envelope.room),)


def _prepare(envelope: Envelope) -> Prepared:
    return Prepared(b"%b%b]" % (_HEADS[envelope.type], chat_json(envelope)), [])


def _entry(user: Identity) -> bytes:
    return orjson.dumps(user_json(user))
