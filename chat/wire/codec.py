"""The contract of a codec, and the codec of raw WebSocket clients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import orjson

from .envelope import Envelope, Identity
from .errors import ChatError
from .frames import text_frame
from .messages import WELCOME, chat_json, error_message, user_json
from .roster_list import RosterList, group_list


class Codec(Protocol):
    """Encodes everything that one kind of client is sent, as frames."""

    @property
    def recoverable(self) -> bool:
        """Whether a client that reconnects can be sent later what is encoded now."""

    def welcome(self) -> bytes:
        """Return the greeting that every client gets: the original server's, without seq, never stored."""

    def chat(self, envelope: Envelope, skip: object = None) -> bytes:
        """Encode a message that is sent now; `skip` is its sender, if the sender is not to receive it."""

    def draft(self, envelope: Envelope) -> Any:
        """Encode a message that waits for the flush, except what depends on the time of sending."""

    def seal(self, drafts: list[Any]) -> bytes:
        """Return the frames of these drafts, which are sent now, in this order."""

    def sender_copy(self, envelope: Envelope) -> bytes:
        """Return what the sender of a stored direct message gets besides its Ack; nothing in most codecs."""

    def ack(self, envelope: Envelope) -> bytes:
        """Encode the Ack of a message whose sender asked for one (`reply`)."""

    def error(self, error: ChatError, language: str) -> bytes:
        """Encode an Error, as the answer to a request that asked for one (`reply`)."""

    def roster_diff(self, room: str, joined: Iterable[Identity], left: Iterable[str]) -> bytes:
        """Encode the users who joined and the names of those who left."""

    def renewed(self, expires_ms: int | None, reply: str | int | None = None) -> bytes:
        """Encode the answer to a fresh token: when it expires, in milliseconds, or None for never."""

    def notice(
        self, kind: int, fields: dict[str, Any], ref: str | None = None, reply: str | int | None = None
    ) -> bytes:
        """Encode a notice about a room, of type `kind`; `ref` and `reply` identify the request that it answers."""

    def replay(self, envelope: Envelope) -> bytes:
        """Encode a message that was delivered to other clients earlier."""

    def make_list(self, room: str) -> RosterList:
        """Return an empty roster list of `room`."""


class Native:
    """The codec of raw WebSocket clients: one JSON text frame per message."""

    recoverable = False

    def welcome(self) -> bytes:
        return _WELCOME

    def chat(self, envelope: Envelope, skip: object = None) -> bytes:
        return text_frame(chat_json(envelope))

    def draft(self, envelope: Envelope) -> bytes:
        return text_frame(chat_json(envelope))

    def seal(self, drafts: list[bytes]) -> bytes:
        return drafts[0] if len(drafts) == 1 else b"".join(drafts)

    def sender_copy(self, envelope: Envelope) -> bytes:
        return b""

    def ack(self, envelope: Envelope) -> bytes:
        message = {
            "type": 4,
            "ref": envelope.id,
            "id": envelope.id,
            "room": envelope.room,
            "ts": envelope.ts,
        }
        if envelope.seq is not None:
            message["seq"] = envelope.seq
        return text_frame(orjson.dumps(message))

    def error(self, error: ChatError, language: str) -> bytes:
        return frame(error_message(error, language))

    def roster_diff(self, room: str, joined: Iterable[Identity], left: Iterable[str]) -> bytes:
        return frame(
            {"type": 5, "room": room, "joined": [user_json(user) for user in joined], "left": list(left)}
        )

    def renewed(self, expires_ms: int | None, reply: str | int | None = None) -> bytes:
        return frame({"type": 9, "data": expires_ms})

    def notice(
        self, kind: int, fields: dict[str, Any], ref: str | None = None, reply: str | int | None = None
    ) -> bytes:
        message = {"type": int(kind), **fields}
        if ref is not None:
            message["ref"] = ref
        return frame(message)

    def replay(self, envelope: Envelope) -> bytes:
        return text_frame(chat_json(envelope))

    def make_list(self, room: str) -> RosterList:
        return group_list(room)


def frame(message: dict[str, Any]) -> bytes:
    """Encode one server message as a whole text frame."""
    return text_frame(orjson.dumps(message))


_WELCOME = frame({"type": 2, "user": None, "data": WELCOME})
NATIVE = Native()
