"""The answers to a batch of joins: missed messages, Synced, messages buffered meanwhile, roster."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..wire.codec import Codec
from ..wire.envelope import Envelope, MessageType
from .hub import Hub
from .join_request import JoinRequest
from .room import JoinBuffer, Room


class JoinReplies:
    """Answers requests and completes them. Each message is encoded once a codec for all. In the loop."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._frames: dict[tuple[Codec, Envelope], bytes] = {}

    def complete(self, request: JoinRequest) -> None:
        """Send the client what it missed and the Synced, and make it a member of the room if it is none yet."""
        room, buffer = request.room, request.buffer
        if buffer is not None and buffer.overflowed and room is not None:
            request.recovered, request.upto = request.since is None, room.last_seq
            buffer.reset()
        self._send_missed(request)
        request.member.enqueue(self._synced(request))
        if buffer is not None and room is not None:
            self._join(request, room, buffer)

    def _send_missed(self, request: JoinRequest) -> None:
        frames = self._encode(request.member.wire.codec, request.missed)
        # What fills an outbox is too much for a client.
        if sum(map(len, frames)) > self._hub.settings.outbox_bytes // 2:
            request.recovered = False
        for frame in frames if request.recovered else ():
            request.member.enqueue(frame)

    def _join(self, request: JoinRequest, room: Room, buffer: JoinBuffer) -> None:
        member, rooms = request.member, self._hub.rooms
        rooms.stop_joining(member, room)
        for frame in self._encode(member.wire.codec, buffer.messages):
            member.enqueue(frame)
        rooms.join(member, room, request.upto)
        rooms.send_roster(member, room)

    def _synced(self, request: JoinRequest) -> bytes:
        room, row = request.room, request.row
        fields: dict[str, Any] = {"room": request.name}
        if room is None:
            fields["seq"] = row.last_seq if row is not None else 0
        elif room.gate is not None:
            fields["seq"] = room.last_seq if request.buffer is None else request.upto
        fields["epoch"] = row.epoch if row is not None else ""
        fields["recovered"] = request.recovered
        codec = request.member.wire.codec
        return codec.notice(MessageType.SYNCED, fields, request.envelope.id, request.reply)

    def _encode(self, codec: Codec, envelopes: Iterable[Envelope]) -> list[bytes]:
        return [self._frame(codec, envelope) for envelope in envelopes]

    def _frame(self, codec: Codec, envelope: Envelope) -> bytes:
        frame = self._frames.get((codec, envelope))
        if frame is None:
            frame = self._frames[codec, envelope] = codec.replay(envelope)
        return frame
