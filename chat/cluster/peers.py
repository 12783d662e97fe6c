"""This process among those of its site: tells the others what happens here, and hears what happens there.

All that crosses is a hint (broker/base.py). Stored messages that no hint told of the writer finds in the store; rosters
and counts are told anew when a number shows that something is missing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from ..rooms.group_commit import GroupCommit
from ..rooms.hub import Hub
from ..rooms.room import Room
from ..store.history import Message
from ..wire.envelope import Envelope, Identity, MessageType, participants
from ..wire.errors import ChatError
from . import bus_messages
from .broker.base import Broker
from .presence import Presence
from .presence_sync import PresenceSync
from .requests import Requests

log = logging.getLogger("chat")

#: Heartbeats in a lease, and the part of it after which a silent process is dead: with the two heartbeats that it may
#: take to find out, everybody knows before the lease is over.
BEATS = 6
SILENCE = 0.6
#: Seconds for which the answer of one process is waited for.
PATIENCE = 2.0
#: Stored messages in one hint.
MAX_MESSAGES = 200


class ClusterPeers:
    """chat.rooms.peers.Others, and the broker's Listener.

    `look` is called when another process has written to the control table; `told(kind, parts)` gets what is no affair
    of this module.
    """

    alone = False

    def __init__(
        self,
        hub: Hub,
        group_commit: GroupCommit,
        broker: Broker,
        look: Callable[[], None],
        told: Callable[[str, list[Any]], None],
    ) -> None:
        self._hub, self._group_commit, self._broker = hub, group_commit, broker
        self._look, self._told = look, told
        self._call_later = hub.reactor.call_later
        self.origin = group_commit.origin
        self._lease = hub.settings.worker_lease
        self.presence = Presence()
        self._questions = Requests(hub.reactor, self._publish, self.presence)
        self._gossip = PresenceSync(hub, self._publish, self.presence, self._questions)
        #: Users whose direct messages are heard.
        self._users: set[str] = set()
        #: Messages that are stored nowhere and wait to be told, by channel.
        self._said: dict[str, list[list[Any]]] = {}
        self._beating = self._has_ended = False
        #: When it beat last.
        self._beat_at = 0.0
        self._kinds = {
            **self._gossip.kinds,
            **self._questions.kinds,
            "m": self._take_messages,
            "e": self._take_unstored,
        }

    def start(self) -> None:
        """Join the others."""
        self._hub.use_peers(self)
        self._broker.subscribe(bus_messages.ALL, bus_messages.process_channel(self.origin))
        self._hub.reactor.call(self._open_all)
        self._broker.begin(self)

    def _open_all(self) -> None:
        for room in self._hub.rooms:
            self.room_opened(room)

    def stop(self) -> None:
        """Tell the others that nobody is here any more; nothing is told after that. From any thread."""
        self._hub.reactor.call(self._end)

    def _end(self) -> None:
        self._gossip.tell_gathered()
        self._publish(bus_messages.ALL, "bye")
        self._has_ended = True

    def announce_control(self) -> None:
        """Tell the others that there is something in the control table; from any thread."""
        self._publish(bus_messages.ALL, "control")

    def publish(self, kind: str, *parts: Any) -> None:
        """Tell all others something that is no affair of this module; from any thread."""
        self._publish(bus_messages.ALL, kind, *parts)

    def _publish(self, channel: str, kind: str, *parts: Any) -> None:
        if self._has_ended:
            return
        self._broker.publish(channel, bus_messages.write(kind, *parts))

    # ---- the broker's listener; outside the loop -------------------------------------------------------------------

    def received(self, hints_: list[tuple[str, int, bytes]]) -> None:
        """Take what the others tell."""
        read = []
        for channel, sender, payload in hints_:
            try:
                read.append((channel, sender, *bus_messages.read(payload)))
            except ValueError:
                log.warning("a hint of another process makes no sense")
        self._hub.reactor.call_and_wait(self._take_all, read)

    def subscribed(self, channels: list[str]) -> None:
        """Ask who is in the rooms that can be heard from now on."""
        self._hub.reactor.call_and_wait(
            self._gossip.ask_all, [name[2:] for name in channels if name.startswith("r:")]
        )

    def changed(self, is_up: bool) -> None:
        """Begin to beat, or let everybody be until hints go through again."""
        self._hub.reactor.call_and_wait(self._begin_to_beat if is_up else self._begin_to_wait)

    # ---- the heartbeat ---------------------------------------------------------------------------------------------

    def _begin_to_beat(self) -> None:
        self._gossip.begin_anew()
        if not self._beating:
            self._beating = True
            self._beat()
        else:
            self._gossip.tell_beat()
        self._gossip.ask_all([room.name for room in self._hub.rooms])

    def _begin_to_wait(self) -> None:
        # Who is cut off keeps what it knew: the others may be well.
        self.presence.reprieve(self._hub.now)

    def _beat(self) -> None:
        now, before = self._hub.now, self._beat_at
        self._beat_at = now
        if not self._broker.is_up or now - before > 2 * self._lease / BEATS:
            # Who stood still has yet to read what was told meanwhile.
            self.presence.reprieve(now)
        if self._broker.is_up:
            self._gossip.tell_beat()
            # Who has heard nothing at all, not even himself, has heard nothing of anybody.
            heard_until = now - self._broker.silent_for()
            for origin in self.presence.silent_since(heard_until - self._lease * SILENCE):
                self._gossip.bury(origin)
        self._call_later(self._lease / BEATS, self._beat)

    # ---- taking; in the loop ---------------------------------------------------------------------------------------

    def _take_all(self, read: list[tuple[str, int, str, list[Any]]]) -> None:
        for channel, sender, kind, parts in read:
            take = self._kinds.get(kind)
            try:
                if take is not None:
                    take(sender, channel, parts)
                elif kind == "control":
                    self._look()
                else:
                    self._told(kind, parts)
            except Exception as error:
                # Another version's, perhaps; it must not keep the next one from being heard.
                self._hub.reactor.report("a hint could not be taken", error)

    def _take_messages(self, origin: int, channel: str, rows: list[Any]) -> None:
        self._group_commit.delivery.receive([bus_messages.message_of(row, origin) for row in rows])

    def _take_unstored(self, origin: int, channel: str, rows: list[Any]) -> None:
        for row in rows:
            self._take_one(bus_messages.envelope_of(row))

    def _take_one(self, envelope: Envelope) -> None:
        hub, ts = self._hub, envelope.ts
        is_direct = envelope.type == MessageType.SINGLE_CHAT
        room = None if is_direct else hub.rooms.get(envelope.room)
        known = hub.direct.dedupe if is_direct else room.dedupe if room is not None else None
        if known is None:
            return
        try:
            fresh = known.register(envelope)
        except ChatError:
            return
        envelope.ts = ts
        if fresh and room is not None:
            room.broadcast(envelope)
        elif fresh:
            hub.direct.send(envelope)

    def fetch_roster(self, room: str) -> list[Identity]:
        """Return who is in a room, of those processes that answer in time; not from a tick, for it waits for them."""
        return self._gossip.fetch_roster(room) if self._broker.is_up else []

    def handle_requests(self, what: str, answer: Callable[..., Any]) -> None:
        """Have `answer(*parts)` answer what other processes ask; in the loop, from JSON to JSON."""
        self._questions.answers[what] = answer

    # ---- what happens here (the Peers protocol) ----------------------------------------------------------------------

    def publish_stored(self, messages: Iterable[Message]) -> None:
        by_channel: dict[str, list[list[Any]]] = {}
        for message in messages:
            for channel in _channels(message.type, message.room):
                by_channel.setdefault(channel, []).append(bus_messages.message_row(message))
        for channel, rows in by_channel.items():
            for start in range(0, len(rows), MAX_MESSAGES):
                self._publish(channel, "m", *rows[start : start + MAX_MESSAGES])

    def publish_ephemeral(self, envelope: Envelope) -> None:
        row = bus_messages.envelope_row(envelope)
        for channel in _channels(envelope.type, envelope.room or ""):
            self._said.setdefault(channel, []).append(row)

    def flush(self) -> None:
        if self._said:
            self._tell_said()
        self._broker.flush()

    def _tell_said(self) -> None:
        said, self._said = self._said, {}
        for channel, rows in said.items():
            self._publish(channel, "e", *rows)

    def room_opened(self, room: Room) -> None:
        self._broker.subscribe(bus_messages.room_channel(room.name))

    def room_closed(self, room: Room) -> None:
        self._broker.unsubscribe(bus_messages.room_channel(room.name))
        self._gossip.closed(room)

    def user_joined(self, room: Room, user: Identity) -> None:
        self._gossip.joined(room, user)

    def user_left(self, room: Room, user: Identity) -> None:
        self._gossip.left(room, user)

    def watch_user(self, user_id: str) -> None:
        if user_id not in self._users:
            self._users.add(user_id)
            self._broker.subscribe(bus_messages.user_channel(user_id))

    def unwatch_user(self, user_id: str) -> None:
        if user_id in self._users:
            self._users.discard(user_id)
            self._broker.unsubscribe(bus_messages.user_channel(user_id))

    def publish_counts(self, user: Identity, sockets: int, address: str, from_there: int) -> None:
        self._gossip.counted(user, sockets, address, from_there)

    def sockets_of(self, user_id: str) -> int:
        return self.presence.sockets_of(user_id)

    def sockets_from(self, address: str) -> int:
        return self.presence.sockets_from(address)

    def find_user(self, username: str) -> Identity | None:
        return self.presence.named(username)

    def ask(self, origin: int, what: str, *parts: Any) -> Any:
        answers = self._questions.ask(origin, what, *parts, seconds=PATIENCE) if self._broker.is_up else []
        return answers[0] if answers else None

    def served_recently(self, origin: int) -> bool:
        return self._gossip.served_lately(origin)


def _channels(kind: int, room: str) -> list[str]:
    """Return the channels of those whom a message concerns."""
    if kind != MessageType.SINGLE_CHAT:
        return [bus_messages.room_channel(room)]
    return [
        bus_messages.user_channel(user_id) for user_id in dict.fromkeys(participants(room) or ()) if user_id
    ]
